{{- define "hypermirror.crds.change" -}}
{{- if .root.Values.crds.keep -}}
{{- $_ := set .object.metadata "annotations" (merge (dict "helm.sh/resource-policy" "keep") (.object.metadata.annotations | default dict)) -}}
{{- end -}}
{{- end -}}
