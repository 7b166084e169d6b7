{{/* hypermirror.workload: changes in a Deployment or DaemonSet what values set. Same arguments as hypermirror.change. */}}
{{- define "hypermirror.workload" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $template := .object.spec.template -}}
{{- $pod := $template.spec -}}
{{- $container := first $pod.containers -}}
{{- if hasKey $values "replicas" }}{{ $_ := set .object.spec "replicas" $values.replicas }}{{ end -}}
{{- $_ := set $template.metadata "labels" (merge $template.metadata.labels $values.podLabels $root.Values.commonLabels) -}}
{{- with $values.podAnnotations }}{{ $_ := set $template.metadata "annotations" (merge (deepCopy .) ($template.metadata.annotations | default dict)) }}{{ end -}}
{{- include "hypermirror.scheduling" . -}}
{{- with include "hypermirror.pullSecrets" $root | fromYamlArray }}{{ $_ := set $pod "imagePullSecrets" . }}{{ end -}}
{{- $_ := set $container "image" (include "hypermirror.image" $root) -}}
{{- with include "hypermirror.pullPolicy" $root }}{{ $_ := set $container "imagePullPolicy" . }}{{ end -}}
{{- $_ := set $container "resources" $values.resources -}}
{{- include "hypermirror.securityContexts" . -}}
{{- $_ := set $container "args" (concat $container.args $values.extraArgs) -}}
{{- $_ := set $container "env" (concat $container.env $values.extraEnv) -}}
{{- with $values.extraVolumes }}{{ $_ := set $pod "volumes" (concat ($pod.volumes | default list) .) }}{{ end -}}
{{- with $values.extraVolumeMounts }}{{ $_ := set $container "volumeMounts" (concat ($container.volumeMounts | default list) .) }}{{ end -}}
{{- end -}}

{{/*
Where pods run: the component's values, then `global`, then those of image-operator's chart, then what the file has. The agent runs
on all nodes whatever the others do, so only its own values count.
*/}}
{{- define "hypermirror.scheduling" -}}
{{- $pod := .object.spec.template.spec -}}
{{- $places := list .values -}}
{{- if ne .component "agent" }}{{ $places = concat $places (list .root.Values.global .root.Values) }}{{ end -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" -}}
{{- $chosen := "" -}}
{{- range $places }}{{ if not $chosen }}{{ $chosen = get . $field }}{{ end }}{{ end -}}
{{- if and $chosen (eq $field "nodeSelector") -}}
{{- $_ := set $pod $field (merge (deepCopy $chosen) (get $pod $field | default dict)) -}}
{{- else if $chosen -}}
{{- $_ := set $pod $field $chosen -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the file has, with values merged into it; without user and group IDs where OpenShift assigns them. */}}
{{- define "hypermirror.securityContexts" -}}
{{- if ne .component "agent" -}}
{{- $pod := .object.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- $ofPod := mergeOverwrite ($pod.securityContext | default dict) (deepCopy .values.podSecurityContext) -}}
{{- $ofContainer := mergeOverwrite ($container.securityContext | default dict) (deepCopy .values.securityContext) -}}
{{- if include "hypermirror.openshift" (dict "root" .root "when" .root.Values.compatibility.openshift.adaptSecurityContext) -}}
{{- $ofPod = omit $ofPod "runAsUser" "runAsGroup" "fsGroup" "supplementalGroups" "seLinuxOptions" -}}
{{- $ofContainer = omit $ofContainer "runAsUser" "runAsGroup" "seLinuxOptions" -}}
{{- end -}}
{{- $_ := set $pod "securityContext" $ofPod -}}
{{- $_ := set $container "securityContext" $ofContainer -}}
{{- end -}}
{{- end -}}

{{/* Not empty on OpenShift, if `when` is auto; always, if it is force. */}}
{{- define "hypermirror.openshift" -}}
{{- if or (eq .when "force") (and (eq .when "auto") (.root.Capabilities.APIVersions.Has "security.openshift.io/v1")) -}}
true
{{- end -}}
{{- end -}}

{{/* The image by digest, else by tag. */}}
{{- define "hypermirror.image" -}}
{{- $image := .Values.image -}}
{{- $path := $image.repository -}}
{{- $registry := .Values.global.imageRegistry | default $image.registry -}}
{{- /* As container tools do: a first part with a dot or a port is a host. */ -}}
{{- $first := splitList "/" $path | first -}}
{{- if and (contains "/" $path) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- if not .Values.global.imageRegistry }}{{ $registry = $first }}{{ end -}}
{{- $path = trimPrefix (printf "%s/" $first) $path -}}
{{- end -}}
{{- with $registry }}{{ . }}/{{ end }}{{ $path }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $image.version | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "hypermirror.pullPolicy" -}}
{{ .Values.image.pullPolicy | default .Values.image.imagePullPolicy | default "" }}
{{- end -}}

{{/* Pull secrets, which may be names or objects. */}}
{{- define "hypermirror.pullSecrets" -}}
{{- range concat .Values.global.imagePullSecrets (.Values.image.pullSecrets | default list) }}
- name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
{{- end -}}
{{- end -}}
