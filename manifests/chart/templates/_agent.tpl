{{- define "hypermirror.agent.change" -}}
{{- $values := .root.Values.agent -}}
{{- if eq .object.kind "Namespace" -}}
{{- if not $values.createNamespace }}skip{{ end -}}
{{- $_ := set .object.metadata "name" $values.namespace -}}
{{- else if eq .object.kind "SecurityContextConstraints" -}}
{{- $_ := set .object "allowHostPID" (eq $values.reload "signal") -}}
{{- else if eq .object.kind "DaemonSet" -}}
{{- include "hypermirror.agent.reload" . -}}
{{- end -}}
{{- end -}}

{{/* What overlays/standalone-agent-signal patches: the agent signals CRI-O itself, and so has to see its process. */}}
{{- define "hypermirror.agent.reload" -}}
{{- $reload := .root.Values.agent.reload -}}
{{- $pod := .object.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- $args := list -}}
{{- range $arg := $container.args -}}
{{- if hasPrefix "--reload=" $arg }}{{ $arg = printf "--reload=%s" $reload }}{{ end -}}
{{- $args = append $args $arg -}}
{{- end -}}
{{- $_ := set $container "args" $args -}}
{{- if ne $reload "dbus" -}}
{{- $mounts := list -}}
{{- $volumes := list -}}
{{- range $container.volumeMounts }}{{ if ne .name "bus" }}{{ $mounts = append $mounts . }}{{ end }}{{ end -}}
{{- range $pod.volumes }}{{ if ne .name "bus" }}{{ $volumes = append $volumes . }}{{ end }}{{ end -}}
{{- if eq $reload "signal" -}}
{{- $_ := set $pod "hostPID" true -}}
{{- $mounts = append $mounts (dict "name" "runtime" "mountPath" "/host/run/crio" "readOnly" true) -}}
{{- $volumes = append $volumes (dict "name" "runtime" "hostPath" (dict "path" "/run/crio" "type" "Directory")) -}}
{{- end -}}
{{- $_ := set $container "volumeMounts" $mounts -}}
{{- $_ := set $pod "volumes" $volumes -}}
{{- end -}}
{{- end -}}
