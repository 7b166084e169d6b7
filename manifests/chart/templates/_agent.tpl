{{- define "hypermirror.agent.change" -}}
{{- $values := .root.Values.agent -}}
{{- if eq .object.kind "Namespace" -}}
{{- if not $values.createNamespace }}skip{{ end -}}
{{- $_ := set .object.metadata "name" $values.namespace -}}
{{- else if eq .object.kind "SecurityContextConstraints" -}}
{{- $_ := set .object "allowHostPID" (eq $values.reload "signal") -}}
{{- else if eq .object.kind "DaemonSet" -}}
{{- if eq $values.runtime "containerd" -}}
{{- include "hypermirror.agent.containerd" . -}}
{{- else -}}
{{- include "hypermirror.agent.reload" . -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What overlays/standalone-agent-containerd patches: containerd reads its files at each pull, so there is nothing to reload. */}}
{{- define "hypermirror.agent.containerd" -}}
{{- $pod := .object.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- $args := list -}}
{{- range $arg := $container.args -}}
{{- if hasPrefix "--reload=" $arg }}{{ $arg = "--runtime=containerd" }}{{ end -}}
{{- $args = append $args $arg -}}
{{- end -}}
{{- $_ := set $container "args" $args -}}
{{- $containerd := "/etc/containerd" -}}
{{- $hosts := "/etc/containerd/certs.d" -}}
{{- $_ := set $container "volumeMounts" (list
  (dict "name" "containerd" "mountPath" (printf "/host%s" $containerd) "readOnly" true)
  (dict "name" "hosts" "mountPath" (printf "/host%s" $hosts))) -}}
{{- $_ := set $pod "volumes" (list
  (dict "name" "containerd" "hostPath" (dict "path" $containerd "type" "Directory"))
  (dict "name" "hosts" "hostPath" (dict "path" $hosts "type" "DirectoryOrCreate"))) -}}
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
{{- $signals := eq $reload "signal" -}}
{{- $mount := dict "name" "runtime" "mountPath" "/host/run/crio" "readOnly" true -}}
{{- range $container.volumeMounts -}}
{{- if ne .name "bus" }}{{ $mounts = append $mounts . }}{{ else if $signals }}{{ $mounts = append $mounts $mount }}{{ end -}}
{{- end -}}
{{- $volume := dict "name" "runtime" "hostPath" (dict "path" "/run/crio" "type" "Directory") -}}
{{- range $pod.volumes -}}
{{- if ne .name "bus" }}{{ $volumes = append $volumes . }}{{ else if $signals }}{{ $volumes = append $volumes $volume }}{{ end -}}
{{- end -}}
{{- if $signals }}{{ $_ := set $pod "hostPID" true }}{{ end -}}
{{- $_ := set $container "volumeMounts" $mounts -}}
{{- $_ := set $pod "volumes" $volumes -}}
{{- end -}}
{{- end -}}
