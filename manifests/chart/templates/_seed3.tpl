{{/*
The values of image-operator's chart, mapped to the registry-manager. Its operator is replaced by a process that copies without Jobs,
so that some values have no effect: hypermirror.seed3.ignored names them for the notes of the release.
*/}}

{{/* Environment variables, as a list. Only what is set: empty values have no effect. */}}
{{- define "hypermirror.seed3.env" -}}
{{- $config := .Values.config -}}
{{- $source := $config.source | default dict -}}
{{- $destination := $config.destination | default dict -}}
{{- if $source.disabledTlsCheck }}
- name: DISABLE_SRC_TLS_VERIFICATION
  value: "true"
{{- end }}
{{- if $destination.disabledTlsCheck }}
- name: DISABLE_DEST_TLS_VERIFICATION
  value: "true"
{{- end }}
{{- with $destination.defaultRegistry }}
- name: DESTINATION_DEFAULT_REGISTRY
  value: {{ . | quote }}
{{- end }}
{{- if $destination.defaultAwsIrsaUsage }}
- name: DESTINATION_DEFAULT_AWS_IRSA_USAGE
  value: "true"
{{- end }}
{{- include "hypermirror.seed3.credentials.env" . }}
{{- include "hypermirror.seed3.builds.env" . }}
{{- end -}}

{{/* Of builds, where they are enabled. */}}
{{- define "hypermirror.seed3.builds.env" -}}
{{- $buildah := .Values.config.buildah | default dict -}}
{{- if .Values.registryManager.imageBuilder.enabled }}
{{- range $field, $variable := dict "image" "BUILDAH_IMAGE" "version" "BUILDAH_VERSION" "jobNamespace" "BUILDAH_JOB_NAMESPACE" }}
{{- with get $buildah $field }}
- name: {{ $variable }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- if $buildah.dangerUsePrivilegedContainers }}
- name: BUILDAH_PRIVILEGED_CONTAINER
  value: "true"
{{- end }}
{{- end }}
{{- end -}}

{{/*
Credentials come from a Secret with image-operator's keys: one that the chart creates, or with createSecret=false one that exists and
may lack keys.
*/}}
{{- define "hypermirror.seed3.credentials.env" -}}
{{- $credentials := .Values.config.credentials | default dict -}}
{{- $theirs := eq (toString $credentials.createSecret) "false" -}}
{{- range $field, $variable := include "hypermirror.seed3.credentials" . | fromYaml }}
{{- if or $theirs (get $credentials $field) }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $credentials.secretName | default "image-operator" }}
      key: {{ printf "credentials%s" (title $field) }}
      {{- if $theirs }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Fields of config.credentials and their variables. */}}
{{- define "hypermirror.seed3.credentials" -}}
sourceUsername: CREDS_SOURCE_USERNAME
sourcePassword: CREDS_SOURCE_PASSWORD
destinationUsername: CREDS_DESTINATION_USERNAME
destinationPassword: CREDS_DESTINATION_PASSWORD
{{- end -}}

{{/* The Secret with the credentials that are set; nothing if there are none. */}}
{{- define "hypermirror.seed3.secret" -}}
{{- $credentials := .Values.config.credentials | default dict -}}
{{- $data := dict -}}
{{- range $field, $variable := include "hypermirror.seed3.credentials" . | fromYaml -}}
{{- with get $credentials $field }}{{ $_ := set $data (printf "credentials%s" (title $field)) . }}{{ end -}}
{{- end -}}
{{- if and $data (ne (toString $credentials.createSecret) "false") -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $credentials.secretName | default "image-operator" }}
  namespace: {{ .Release.Namespace }}
  labels:
    app.kubernetes.io/name: hypermirror
    app.kubernetes.io/component: registry-manager
    {{- include "hypermirror.labels" . | nindent 4 }}
type: Opaque
stringData:
  {{- toYaml $data | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* resources.memory over the registry-manager's resources. */}}
{{- define "hypermirror.seed3.resources" -}}
{{- $memory := .Values.resources.memory | default dict -}}
{{- $resources := deepCopy .Values.registryManager.resources -}}
{{- range $field, $of := dict "request" "requests" "limit" "limits" -}}
{{- with get $memory $field }}{{ $_ := set $resources $of (merge (dict "memory" .) (get $resources $of | default dict)) }}{{ end -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{/* Contradictions, as a list. */}}
{{- define "hypermirror.seed3.errors" -}}
{{- $image := .Values.image -}}
{{- if or (hasSuffix "image-operator" $image.repository) (hasSuffix "skopeo-operator" $image.repository) }}
- {{ printf "image.repository=%s is the image of image-operator, which this chart does not run: set the repository of hypermirror" $image.repository | quote }}
{{- end }}
{{- if and $image.tag $image.version (ne $image.tag $image.version) }}
- {{ printf "image.tag=%s and image.version=%s name two versions: set one of them" $image.tag $image.version | quote }}
{{- end }}
{{- if and $image.pullPolicy $image.imagePullPolicy (ne $image.pullPolicy $image.imagePullPolicy) }}
- {{ printf "image.pullPolicy=%s and image.imagePullPolicy=%s differ: set one of them" $image.pullPolicy $image.imagePullPolicy | quote }}
{{- end }}
{{- end -}}

{{/* The values that are set and have no effect, as a list with reasons. */}}
{{- define "hypermirror.seed3.ignored" -}}
{{- $config := .Values.config -}}
{{- $features := $config.features | default dict -}}
{{- if $config.api }}
- "config.api: pages of registries are read as their answers ask for"
{{- end }}
{{- if kindIs "map" $features.copyOnTheFly }}
{{- if and $features.copyOnTheFly.enabled $features.copyOnTheFly.namespacesAllowed }}
- "config.features.copyOnTheFly.namespacesAllowed: ImportRules name namespaces; registryManager.imports.namespaces allows those of others"
{{- end }}
{{- end }}
{{- if ($features.dockerHubRateLimit | default dict).enabled }}
- "config.features.dockerHubRateLimit: the limits of registries are always respected, and metrics report them"
{{- end }}
{{- if $config.skopeo }}
- "config.skopeo: no skopeo runs"
{{- end }}
{{- if and $config.buildah (not .Values.registryManager.imageBuilder.enabled) }}
- "config.buildah: images are not built until registryManager.imageBuilder.enabled is true"
{{- else if ($config.buildah | default dict).imageAwsIrsa }}
- "config.buildah.imageAwsIrsa: the registry-manager itself gets the password of ECR"
{{- end }}
{{- if or $config.pullJobNamespace $config.succeededJobDeletionDelaySeconds }}
- "config.pullJobNamespace, config.succeededJobDeletionDelaySeconds: no Jobs run"
{{- end }}
{{- if ($config.ui | default dict).enabled }}
- "config.ui: there is no web interface; use kubectl get images"
{{- end }}
{{- end -}}

{{/* Not empty if copying on the fly is on: a boolean, or a map with `enabled`. */}}
{{- define "hypermirror.seed3.copyOnTheFly" -}}
{{- $value := (.Values.config.features | default dict).copyOnTheFly -}}
{{- if kindIs "map" $value }}{{ if $value.enabled }}true{{ end }}{{ else if $value }}true{{ end -}}
{{- end -}}
