{{/* The pod of a hook: with the manager's rights, scheduled like it, and as restricted. */}}
{{- define "hypermirror.hook.pod" -}}
{{- $root := .root -}}
restartPolicy: Never
serviceAccountName: hypermirror-manager
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- with include "hypermirror.pullSecrets" $root | fromYamlArray }}
imagePullSecrets:
{{ toYaml . }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" }}
{{- with get $root.Values.manager $field | default (get $root.Values.global $field) }}
{{ $field }}:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}
containers:
- name: {{ .name }}
  image: {{ include "hypermirror.image" $root }}
  {{- with include "hypermirror.pullPolicy" $root }}
  imagePullPolicy: {{ . }}
  {{- end }}
  args:
  {{- toYaml .args | nindent 2 }}
  env:
  - name: POD_NAMESPACE
    valueFrom:
      fieldRef:
        fieldPath: metadata.namespace
  resources:
    requests:
      cpu: 20m
      memory: 32Mi
    limits:
      memory: 256Mi
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
{{- end -}}
