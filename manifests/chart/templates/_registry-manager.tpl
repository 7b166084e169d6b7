{{- define "hypermirror.registryManager.enabled" -}}
{{- if or .Values.registryManager.enabled .Values.config }}true{{ end -}}
{{- end -}}

{{/* Not empty if images are imported for pods that cannot pull. */}}
{{- define "hypermirror.imports.enabled" -}}
{{- if or .Values.registryManager.imports.enabled (include "hypermirror.seed3.copyOnTheFly" .) }}true{{ end -}}
{{- end -}}

{{- define "hypermirror.registryManager.change" -}}
{{- $values := .root.Values.registryManager -}}
{{- if eq .object.kind "Deployment" -}}
{{- include "hypermirror.registryManager.container" . -}}
{{- else if and (eq .object.kind "ClusterRoleBinding") (eq .object.metadata.name "hypermirror-registry-secrets") -}}
{{- if $values.secrets.namespaces }}skip{{ end -}}
{{- end -}}
{{- end -}}

{{- define "hypermirror.registryManager.container" -}}
{{- $values := .root.Values.registryManager -}}
{{- $template := .object.spec.template -}}
{{- $container := first $template.spec.containers -}}
{{- $args := $container.args -}}
{{- range $values.destinationAllow }}{{ $args = append $args (printf "--destination-allow=%s" .) }}{{ end -}}
{{- range $values.sourceCredentialsAllow }}{{ $args = append $args (printf "--source-credentials-allow=%s" .) }}{{ end -}}
{{- if $values.imageBuilder.enabled }}{{ $args = append $args "--image-builder" }}{{ end -}}
{{- range $values.imageBuilder.credentialsAllow }}{{ $args = append $args (printf "--build-credentials-allow=%s" .) }}{{ end -}}
{{- if include "hypermirror.imports.enabled" .root -}}
{{- range $values.imports.namespaces }}{{ $args = append $args (printf "--import-namespaces=%s" .) }}{{ end -}}
{{- $_ := set $container "env" (append $container.env (dict "name" "FEATURE_COPY_ON_THE_FLY" "value" "true")) -}}
{{- end -}}
{{- if $values.fill }}{{ $args = append $args "--fill" }}{{ end -}}
{{- with $values.registryNetworks }}{{ $args = append $args (printf "--registry-networks=%s" .) }}{{ end -}}
{{- $_ := set $container "args" $args -}}
{{- range $container.env }}{{ if eq .name "LOG_LEVEL" }}{{ $_ := set . "value" $values.logLevel }}{{ end }}{{ end -}}
{{- $_ := set $container "env" (concat $container.env (include "hypermirror.seed3.env" .root | fromYamlArray)) -}}
{{- $_ := set $container "resources" (include "hypermirror.seed3.resources" .root | fromYaml) -}}
{{- with include "hypermirror.seed3.secret" .root -}}
{{- $_ := set $template.metadata "annotations" (merge (dict "checksum/credentials" (sha256sum .)) ($template.metadata.annotations | default dict)) -}}
{{- end -}}
{{- end -}}

{{/* The right to read Secrets, one by one and by name, in some namespaces; and single pull secrets. */}}
{{- define "hypermirror.registryManager.secrets" -}}
{{- $root := . -}}
{{- if .Values.rbac.create -}}
{{- range without .Values.registryManager.secrets.namespaces "-" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: hypermirror-registry-secrets
  namespace: {{ . }}
  labels:
    {{- include "hypermirror.labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: hypermirror-registry-secrets
subjects:
- kind: ServiceAccount
  name: hypermirror-registry-manager
  namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- range .Values.registryManager.secrets.pullSecrets }}
{{- $files := list "overlays/coverage-pull-secrets/*.yaml" }}
{{- $one := merge (dict "names" .names) (deepCopy $root.Values.registryManager) }}
{{- $values := merge (dict "registryManager" $one) $root.Values }}
{{- $of := dict "Values" $values "Files" $root.Files "Release" $root.Release "Chart" $root.Chart "Capabilities" $root.Capabilities }}
{{- include "hypermirror.objects" (dict "root" $of "files" $files "component" "registryManager" "from" "clusters" "namespace" .namespace "change" "hypermirror.registryManager.pullSecrets") }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "hypermirror.registryManager.pullSecrets" -}}
{{- if eq .object.kind "Role" }}{{ $_ := set (first .object.rules) "resourceNames" .values.names }}{{ end -}}
{{- include "hypermirror.registryManager.subjects" . -}}
{{- end -}}

{{/* What builds need: the kind everywhere, Jobs in some namespaces. */}}
{{- define "hypermirror.registryManager.builds" -}}
{{- $root := . -}}
{{- if .Values.registryManager.imageBuilder.enabled -}}
{{- include "hypermirror.objects" (dict "root" . "files" (list "components/image-builder/*.yaml") "component" "registryManager") }}
{{- end -}}
{{- range .Values.registryManager.imageBuilder.namespaces }}
{{- $files := list "overlays/image-builder-namespace/*.yaml" }}
{{- include "hypermirror.objects" (dict "root" $root "files" $files "component" "registryManager" "from" "builds" "namespace" . "change" "hypermirror.registryManager.subjects") }}
{{- end }}
{{- end -}}

{{- define "hypermirror.registryManager.subjects" -}}
{{- range .object.subjects }}{{ $_ := set . "namespace" $.root.Release.Namespace }}{{ end -}}
{{- end -}}
