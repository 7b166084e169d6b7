{{/*
The objects of the directory `files`, which are those that kustomize builds (hack/check/chart copies and compares them). Templates
change in them what values ask for.

hypermirror.objects: all objects of some files, as YAML documents.
  root       the root context
  files      glob patterns below `files`
  component  name of the component in the values
  namespace  of the objects; default: that of the release
  from       the namespace in the files; default: hypermirror-system
  change     name of a template that changes `object` in place; an object for which it prints `skip` is left out
*/}}
{{- define "hypermirror.objects" -}}
{{- $root := .root -}}
{{- $from := .from | default "hypermirror-system" -}}
{{- $to := .namespace | default $root.Release.Namespace -}}
{{- $scope := dict "root" $root "component" .component "values" (get $root.Values (.component | default "") | default dict) "namespace" $to -}}
{{- $change := .change -}}
{{- range $pattern := .files -}}
{{- range $path, $content := $root.Files.Glob (printf "files/%s" $pattern) -}}
{{- $text := $content | toString
      | replace (printf "namespace: %s" $from) (printf "namespace: %s" $to)
      | replace (printf "system:serviceaccount:%s:" $from) (printf "system:serviceaccount:%s:" $to)
      | replace (printf ".%s.svc" $from) (printf ".%s.svc" $to) -}}
{{- range $document := regexSplit "(?m)^---\\s*$" $text -1 -}}
{{- $object := fromYaml $document -}}
{{- if hasKey $object "Error" }}{{ fail (printf "%s: %s" $path $object.Error) }}{{ end -}}
{{- if $object.kind -}}
{{- $one := merge (dict "object" $object) $scope -}}
{{- $skip := include "hypermirror.change" $one | trim -}}
{{- if and $change (not $skip) }}{{ $skip = include $change $one | trim }}{{ end -}}
{{- if not $skip }}
---
{{ toYaml $object }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What all objects have in common. It changes `object` and prints `skip` for those that values turn off. */}}
{{- define "hypermirror.change" -}}
{{- $values := .root.Values -}}
{{- $kind := .object.kind -}}
{{- include "hypermirror.metadata" . -}}
{{- if and (has $kind (list "Role" "RoleBinding" "ClusterRole" "ClusterRoleBinding")) (not $values.rbac.create) -}}
skip
{{- else if and (eq $kind "ClusterRole") (not $values.rbac.aggregate) (contains "rbac.authorization.k8s.io/aggregate-to" (toYaml .object.metadata)) -}}
skip
{{- else if and (eq $kind "NetworkPolicy") (not $values.networkPolicy.enabled) -}}
skip
{{- else if and (eq $kind "ServiceAccount") (not .values.serviceAccount.create) -}}
skip
{{- else if eq $kind "ServiceAccount" -}}
{{- with .values.serviceAccount.annotations }}{{ $_ := set $.object.metadata "annotations" (merge (deepCopy .) ($.object.metadata.annotations | default dict)) }}{{ end -}}
{{- else if eq $kind "NetworkPolicy" -}}
{{- include "hypermirror.networkPolicy" . -}}
{{- else if has $kind (list "Deployment" "DaemonSet") -}}
{{- include "hypermirror.workload" . -}}
{{- end -}}
{{- end -}}

{{/* Labels of Helm and of values. */}}
{{- define "hypermirror.metadata" -}}
{{- $metadata := .object.metadata -}}
{{- $_ := set $metadata "labels" (merge (include "hypermirror.labels" .root | fromYaml) ($metadata.labels | default dict)) -}}
{{- with .root.Values.commonAnnotations }}{{ $_ := set $metadata "annotations" (merge ($metadata.annotations | default dict) .) }}{{ end -}}
{{- end -}}

{{- define "hypermirror.labels" -}}
{{ with .Values.commonLabels }}{{ toYaml . }}
{{ end -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{/* The metrics port for some only, and limits of egress. */}}
{{- define "hypermirror.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $spec := .object.spec -}}
{{- if $policy.metrics.from -}}
{{- $ingress := list -}}
{{- range $rule := $spec.ingress -}}
{{- $others := list -}}
{{- $metrics := list -}}
{{- range $rule.ports }}{{ if eq (toString .port) "metrics" }}{{ $metrics = append $metrics . }}{{ else }}{{ $others = append $others . }}{{ end }}{{ end -}}
{{- with $metrics }}{{ $ingress = append $ingress (dict "ports" . "from" $policy.metrics.from) }}{{ end -}}
{{- with $others }}{{ $ingress = append $ingress (dict "ports" .) }}{{ end -}}
{{- end -}}
{{- $_ := set $spec "ingress" $ingress -}}
{{- end -}}
{{- if $policy.egress.enabled -}}
{{- $ports := list -}}
{{- range $policy.egress.ports }}{{ $ports = append $ports (dict "port" . "protocol" "TCP") }}{{ end -}}
{{- $dns := list -}}
{{- range $port := list 53 5353 }}{{ range $protocol := list "UDP" "TCP" }}{{ $dns = append $dns (dict "port" $port "protocol" $protocol) }}{{ end }}{{ end -}}
{{- $_ := set $spec "policyTypes" (list "Ingress" "Egress") -}}
{{- $_ := set $spec "egress" (concat (list (dict "ports" $dns) (dict "ports" $ports)) $policy.egress.extra) -}}
{{- end -}}
{{- end -}}
