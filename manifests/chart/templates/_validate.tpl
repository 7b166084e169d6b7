{{/* Values that contradict each other, which the schema cannot see: all of them in one error. */}}
{{- define "hypermirror.validate" -}}
{{- $values := .Values -}}
{{- $errors := list -}}
{{- if not (or $values.manager.enabled (include "hypermirror.registryManager.enabled" .) $values.agent.enabled) -}}
{{- $errors = append $errors "nothing is enabled: set manager.enabled, registryManager.enabled or agent.enabled" -}}
{{- end -}}
{{- if and (eq $values.agent.runtime "containerd") (ne $values.agent.reload "dbus") -}}
{{- $errors = append $errors (printf "agent.reload=%s has no effect with agent.runtime=containerd: leave it out" $values.agent.reload) -}}
{{- end -}}
{{- if and (ne $values.admission.type "none") (not $values.manager.enabled) -}}
{{- $errors = append $errors (printf "admission.type=%s needs manager.enabled=true" $values.admission.type) -}}
{{- end -}}
{{- if and (eq $values.admission.type "webhook") (eq $values.admission.webhook.certificate "secret") (not $values.admission.webhook.caBundle) -}}
{{- $errors = append $errors "admission.webhook.certificate=secret needs admission.webhook.caBundle" -}}
{{- end -}}
{{- if and $values.admission.webhook.caBundle (ne $values.admission.webhook.certificate "secret") -}}
{{- $errors = append $errors (printf "admission.webhook.caBundle is written by %s: leave it empty, or set admission.webhook.certificate=secret" $values.admission.webhook.certificate) -}}
{{- end -}}
{{- if and (eq $values.mode "observe") $values.manager.rolloutDelivery -}}
{{- $errors = append $errors "manager.rolloutDelivery lets the manager write ConfigMaps, which mode=observe rules out" -}}
{{- end -}}
{{- if and (eq $values.admission.type "policy") (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- $errors = append $errors (printf "admission.type=policy needs Kubernetes 1.36, this is %s: set admission.type=webhook" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- range $flag, $value := dict "--mode" "mode" "--max-concurrent-rollouts" "manager.maxConcurrentRollouts" "--webhook" "admission.type" -}}
{{- range $values.manager.extraArgs -}}
{{- if eq (splitList "=" . | first) $flag }}{{ $errors = append $errors (printf "manager.extraArgs: %s is set by the value %s" $flag $value) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if eq $values.admission.type "policy" -}}
{{- range $target := $values.manager.targets -}}
{{- $parts := splitList "/" $target -}}
{{- if and (gt (len $parts) 1) (ne (first $parts) (last $parts)) -}}
{{- $errors = append $errors (printf "admission.type=policy does not support the target %s: its container must have the name of the Deployment" $target) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $values.uninstall.enabled (not $values.manager.enabled) -}}
{{- $errors = append $errors "uninstall.enabled needs manager.enabled=true: only a running manager removes the mirrors" -}}
{{- end -}}
{{- if and $values.uninstall.enabled (eq $values.mode "observe") -}}
{{- $errors = append $errors "uninstall.enabled needs mode=enforce: with mode=observe the manager removes nothing" -}}
{{- end -}}
{{- if and $values.agent.enabled (eq $values.agent.namespace .Release.Namespace) $values.agent.createNamespace -}}
{{- $errors = append $errors (printf "agent.namespace is the namespace of the release, %s, which exists: set agent.createNamespace=false" .Release.Namespace) -}}
{{- end -}}
{{- if and $values.monitoring.podMonitor.enabled $values.monitoring.serviceMonitor.enabled -}}
{{- $errors = append $errors "monitoring.podMonitor and monitoring.serviceMonitor would scrape every pod twice: enable one of them" -}}
{{- end -}}
{{- if and (has "-" $values.registryManager.secrets.namespaces) (gt (len $values.registryManager.secrets.namespaces) 1) -}}
{{- $errors = append $errors "registryManager.secrets.namespaces: - means no namespace, so no other name may be beside it" -}}
{{- end -}}
{{- if and (or $values.registryManager.imageBuilder.enabled $values.registryManager.imports.enabled $values.registryManager.fill) (not (include "hypermirror.registryManager.enabled" .)) -}}
{{- $errors = append $errors "registryManager.imageBuilder.enabled, registryManager.imports.enabled and registryManager.fill need registryManager.enabled=true" -}}
{{- end -}}
{{- if and $values.registryManager.fill (not $values.registryManager.destinationAllow) -}}
{{- $errors = append $errors "registryManager.fill needs registryManager.destinationAllow: nothing is copied elsewhere" -}}
{{- end -}}
{{- $errors = concat $errors (include "hypermirror.seed3.errors" . | fromYamlArray) -}}
{{- with $errors }}{{ fail (printf "\n  %s" (join "\n  " .)) }}{{ end -}}
{{- end -}}
