{{- define "hypermirror.manager.change" -}}
{{- $values := .root.Values -}}
{{- $name := .object.metadata.name -}}
{{- if eq .object.kind "Deployment" -}}
{{- include "hypermirror.manager.args" . -}}
{{- if eq $values.admission.type "webhook" }}{{ include "hypermirror.webhook.serve" . }}{{ end -}}
{{- else if eq .object.kind "PodDisruptionBudget" -}}
{{- if not $values.manager.podDisruptionBudget.enabled }}skip{{ end -}}
{{- $_ := set .object.spec "maxUnavailable" $values.manager.podDisruptionBudget.maxUnavailable -}}
{{- else if and (eq .object.kind "ClusterRole") (eq $name "hypermirror-manager") -}}
{{- include "hypermirror.manager.role" . -}}
{{- else if and (eq .object.kind "MutatingAdmissionPolicy") (eq $name "hypermirror-targets") -}}
{{- include "hypermirror.manager.policy" . -}}
{{- else if or (eq .object.kind "MutatingWebhookConfiguration") (eq $name "hypermirror-webhook") -}}
{{- include "hypermirror.webhook.certificate" . -}}
{{- end -}}
{{- end -}}

{{- define "hypermirror.manager.args" -}}
{{- $values := .root.Values -}}
{{- $container := first .object.spec.template.spec.containers -}}
{{- $args := list -}}
{{- range $arg := $container.args -}}
{{- if hasPrefix "--mode=" $arg }}{{ $arg = printf "--mode=%s" $values.mode }}{{ end -}}
{{- if hasPrefix "--max-concurrent-rollouts=" $arg }}{{ $arg = printf "--max-concurrent-rollouts=%d" (int $values.manager.maxConcurrentRollouts) }}{{ end -}}
{{- $args = append $args $arg -}}
{{- end -}}
{{- with $values.manager.hostedClusterSelector }}{{ $args = append $args (printf "--hosted-cluster-selector=%s" .) }}{{ end -}}
{{- with $values.manager.guestAgent }}{{ $args = append $args (printf "--guest-agent=%s" .) }}{{ end -}}
{{- range $values.manager.targets }}{{ $args = append $args (printf "--target=%s" .) }}{{ end -}}
{{- $_ := set $container "args" $args -}}
{{- end -}}

{{/* mode=observe takes away every right to write to what is not hypermirror's own; further targets need their names. */}}
{{- define "hypermirror.manager.role" -}}
{{- $values := .root.Values -}}
{{- range $rule := .object.rules -}}
{{- $ours := has (first $rule.apiGroups) (list "hypermirror.dev" "events.k8s.io") -}}
{{- if and (eq $values.mode "observe") (not $ours) }}{{ $_ := set $rule "verbs" (without $rule.verbs "patch") }}{{ end -}}
{{- if and (has "deployments" $rule.resources) (has "control-plane-operator" $rule.resourceNames) -}}
{{- range $values.manager.targets }}{{ $_ := set $rule "resourceNames" (append $rule.resourceNames (splitList "/" . | first)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hypermirror.manager.policy" -}}
{{- $names := "" -}}
{{- range .root.Values.manager.targets }}{{ $names = printf "%s, '%s'" $names (splitList "/" . | first) }}{{ end -}}
{{- range $condition := .object.spec.matchConditions -}}
{{- if eq $condition.name "target" }}{{ $_ := set $condition "expression" ($condition.expression | replace "']" (printf "'%s]" $names)) }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* What components/webhook patches into the Deployment. */}}
{{- define "hypermirror.webhook.serve" -}}
{{- $pod := .object.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- $_ := set $container "args" (concat $container.args (list "--webhook=serve" "--webhook-certificate-dir=/etc/hypermirror/webhook")) -}}
{{- $_ := set $container "ports" (append $container.ports (dict "name" "webhook" "containerPort" 9443)) -}}
{{- /* API servers learn a moment later that a pod ends. */ -}}
{{- $_ := set $container "lifecycle" (dict "preStop" (dict "sleep" (dict "seconds" 5))) -}}
{{- $mount := dict "name" "webhook-certificate" "mountPath" "/etc/hypermirror/webhook" "readOnly" true -}}
{{- $_ := set $container "volumeMounts" (append ($container.volumeMounts | default list) $mount) -}}
{{- /* Optional: without a certificate the webhook does not answer, and everything else works. */ -}}
{{- $secret := dict "secretName" "hypermirror-webhook-certificate" "optional" true -}}
{{- $_ := set $pod "volumes" (append ($pod.volumes | default list) (dict "name" "webhook-certificate" "secret" $secret)) -}}
{{- end -}}

{{/* Who writes the caBundle, and for service-ca who issues the certificate. */}}
{{- define "hypermirror.webhook.certificate" -}}
{{- $webhook := .root.Values.admission.webhook -}}
{{- $annotations := dict -}}
{{- if eq .object.kind "MutatingWebhookConfiguration" -}}
{{- if eq $webhook.certificate "cert-manager" }}{{ $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/hypermirror-webhook" .namespace) }}{{ end -}}
{{- if eq $webhook.certificate "service-ca" }}{{ $_ := set $annotations "service.beta.openshift.io/inject-cabundle" "true" }}{{ end -}}
{{- if eq $webhook.certificate "secret" }}{{ range .object.webhooks }}{{ $_ := set .clientConfig "caBundle" $webhook.caBundle }}{{ end }}{{ end -}}
{{- else if and (eq .object.kind "Service") (eq $webhook.certificate "service-ca") -}}
{{- $_ := set $annotations "service.beta.openshift.io/serving-cert-secret-name" "hypermirror-webhook-certificate" -}}
{{- end -}}
{{- with $annotations }}{{ $_ := set $.object.metadata "annotations" (merge . ($.object.metadata.annotations | default dict)) }}{{ end -}}
{{- end -}}
