{{/* Not empty if the kind is served, or is to be rendered nevertheless. */}}
{{- define "hypermirror.monitoring.render" -}}
{{- $mode := .root.Values.monitoring.renderMode -}}
{{- $served := or (.root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind)) (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
{{- if and (not $served) (eq $mode "failIfMissing") -}}
{{- fail (printf "the cluster does not serve %s of monitoring.coreos.com/v1: install its CRD, or set monitoring.renderMode=skipIfMissing" .kind) -}}
{{- end -}}
{{- if or $served (eq $mode "alwaysRender") }}true{{ end -}}
{{- end -}}

{{/* The components that run, with their namespaces. */}}
{{- define "hypermirror.monitoring.components" -}}
{{ if .Values.manager.enabled }}
manager: {{ .Release.Namespace }}
{{ end }}
{{ if include "hypermirror.registryManager.enabled" . }}
registry-manager: {{ .Release.Namespace }}
{{ end }}
{{ if .Values.agent.enabled }}
agent: {{ .Values.agent.namespace }}
{{ end }}
{{- end -}}
