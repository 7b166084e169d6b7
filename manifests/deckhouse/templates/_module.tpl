{{/*
The objects of `files` are copies of the project's manifests (hack/check/deckhouse copies and compares them). These templates set in
them what differs in Deckhouse. There is no library chart: the module has no dependency.

module.objects: the objects of one file, as YAML documents. Arguments: root context, file below `files`.
*/}}
{{- define "module.objects" -}}
{{- $root := index . 0 -}}
{{- $text := $root.Files.Get (printf "files/%s" (index . 1)) -}}
{{- if not $text }}{{ fail (printf "files/%s is missing" (index . 1)) }}{{ end -}}
{{- $text = $text | replace "namespace: hypermirror-system" (printf "namespace: %s" (include "module.namespace" $root)) -}}
{{- range $document := regexSplit "(?m)^---\\s*$" $text -1 -}}
{{- $object := fromYaml $document -}}
{{- if hasKey $object "Error" }}{{ fail (printf "files/%s: %s" (index $ 1) $object.Error) }}{{ end -}}
{{- if $object.kind -}}
{{- $_ := set $object.metadata "labels" (merge (include "module.labels" $root | fromYaml) ($object.metadata.labels | default dict)) -}}
{{- if eq $object.kind "Deployment" }}{{ include "module.deployment" (list $root $object) }}{{ end }}
---
{{ toYaml $object }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "module.namespace" -}}
d8-{{ .Chart.Name }}
{{- end -}}

{{- define "module.labels" -}}
heritage: deckhouse
module: {{ .Chart.Name }}
app: {{ .Chart.Name }}
{{- end -}}

{{/* The labels of all pods of the module that are copies of the registry-manager's. */}}
{{- define "module.selector" -}}
app.kubernetes.io/name: hypermirror
app.kubernetes.io/component: registry-manager
{{- end -}}

{{/* module.deployment: changes a Deployment in place. Arguments: root context, object. */}}
{{- define "module.deployment" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
{{- $values := $root.Values.registryOperator -}}
{{- $template := $object.spec.template -}}
{{- $pod := $template.spec -}}
{{- $container := first $pod.containers -}}
{{- $_ := set $object.spec "revisionHistoryLimit" 2 -}}
{{- $_ := set $template.metadata "labels" (merge (dict "app" $root.Chart.Name) $template.metadata.labels) -}}
{{- $_ := set $container "image" (include "module.image" (list $root "registryOperator")) -}}
{{- $_ := set $container.resources.requests "ephemeral-storage" "50Mi" -}}
{{- range $container.env }}{{ if eq .name "LOG_LEVEL" }}{{ $_ := set . "value" $values.logLevel }}{{ end }}{{ end -}}
{{- range $values.destinationAllow }}{{ $_ := set $container "args" (append $container.args (printf "--destination-allow=%s" .)) }}{{ end -}}
{{- if include "module.dockercfg" $root }}{{ $_ := set $pod "imagePullSecrets" (list (dict "name" "deckhouse-registry")) }}{{ end -}}
{{- $_ := set $pod "nodeSelector" (merge (include "module.nodeSelector" $root | fromYaml) $pod.nodeSelector) -}}
{{- $_ := set $pod "tolerations" (include "module.tolerations" $root | fromYamlArray) -}}
{{- /* The class is that of a module, which may be off. */ -}}
{{- if has "priority-class" ($root.Values.global.enabledModules | default list) }}{{ $_ := set $pod "priorityClassName" "cluster-low" }}{{ end -}}
{{- end -}}

{{/*
module.image: an image of the module, by digest. Arguments: root context, name of the image. Deckhouse has two ways to say where it is:
newer versions with the package of the module, others with values.
*/}}
{{- define "module.image" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $package := ($root.Module).Package -}}
{{- $base := $root.Values.global.modulesImages.registry.base -}}
{{- $digests := dict -}}
{{- if $package -}}
{{- $digests = $package.Digests | default dict -}}
{{- if not $package.Embedded }}{{ $base = printf "%s/%s" ($package.Registry.repository | trimSuffix "/") $package.Name }}{{ end -}}
{{- else -}}
{{- $digests = ($root.Values.global.modulesImages.digests).registryOperator | default dict -}}
{{- with ($root.Values.registryOperator.registry).base }}{{ $base = printf "%s/%s" (trimSuffix "/" .) $root.Chart.Name }}{{ end -}}
{{- end -}}
{{- if not (get $digests $name) }}{{ fail (printf "the image %s has no digest" $name) }}{{ end -}}
{{ $base }}@{{ get $digests $name }}
{{- end -}}

{{/* The content of the pull secret in base64, if the registry of the module needs one. */}}
{{- define "module.dockercfg" -}}
{{ (((.Module).Package).Registry).dockercfg | default (.Values.registryOperator.registry).dockercfg | default "" }}
{{- end -}}

{{/* The nodes of a system component: those of the setting, else those of the first role that nodes have. */}}
{{- define "module.nodeSelector" -}}
{{- $counts := (.Values.global.discovery).d8SpecificNodeCountByRole | default dict -}}
{{- if .Values.registryOperator.nodeSelector -}}
{{ toYaml .Values.registryOperator.nodeSelector }}
{{- else if gt (int (get $counts "registryOperator")) 0 -}}
node-role.deckhouse.io/{{ .Chart.Name }}: ""
{{- else if gt (int (get $counts "system")) 0 -}}
node-role.deckhouse.io/system: ""
{{- end -}}
{{- end -}}

{{- define "module.tolerations" -}}
{{- with .Values.registryOperator.tolerations -}}
{{ toYaml . }}
{{- else -}}
{{- range list .Chart.Name "system" }}
- key: dedicated.deckhouse.io
  operator: Equal
  value: {{ . }}
{{- end -}}
{{- end -}}
{{- end -}}
