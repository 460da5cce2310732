{{/* What helm adds to the labels of every object: which release it is of. Pods don't get them: they would be replaced by every upgrade. */}}
{{- define "dynamiq.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* (list $ "operator"): the image that images.operator names. */}}
{{- define "dynamiq.image" -}}
{{- $values := (index . 0).Values.images -}}
{{- $image := index $values (index . 1) -}}
{{- $name := printf "%s/%s" $values.registry $image.repository -}}
{{- if $image.digest }}{{ printf "%s@%s" $name $image.digest }}{{ else }}{{ printf "%s:%s" $name (default (index . 0).Chart.AppVersion $image.tag) }}{{ end }}
{{- end }}

{{/* (list $ "operator"): of the specs of its pods, where they run and how their images are pulled. */}}
{{- define "dynamiq.pod" -}}
{{- $root := index . 0 -}}
{{- $component := index $root.Values (index . 1) -}}
{{- $pod := dict -}}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with index $component $name | default (index $root.Values.pods $name) }}{{ $_ := set $pod $name . }}{{ end }}
{{- end }}
{{- $secrets := list -}}
{{- range $root.Values.images.pullSecrets }}{{ $secrets = append $secrets (dict "name" .) }}{{ end }}
{{- with $secrets }}{{ $_ := set $pod "imagePullSecrets" . }}{{ end }}
{{- with $pod }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* (list $ "api"): annotations of its pods. What they read when they start is one, so that a change of it replaces them. */}}
{{- define "dynamiq.podAnnotations" -}}
{{- $root := index . 0 -}}
{{- $annotations := deepCopy (index $root.Values (index . 1)).podAnnotations -}}
{{- if and (eq (index . 1) "api") (include "dynamiq.hasConsoleSettings" $root) }}
{{- $_ := set $annotations "dynamiq.getdynamiq.ai/console-settings" (include "dynamiq.consoleSettings" $root | sha256sum) }}
{{- end }}
{{- with $annotations }}{{ toYaml . }}{{ end }}
{{- end }}

{{- define "dynamiq.hasConsoleSettings" -}}
{{- if and .Values.api.enabled .Values.console.enabled .Values.console.url }}yes{{ end }}
{{- end }}

{{/* What the ConfigMap dynamiq-console says, which the API reads when it starts. */}}
{{- define "dynamiq.consoleSettings" -}}
{{- $console := .Values.console -}}
{{- $settings := dict "url" $console.url -}}
{{- with $console.oidc }}
{{- if .issuer }}
{{- $_ := set $settings "oidc-issuer" .issuer }}
{{- $_ := set $settings "oidc-client-id" .clientId }}
{{- if .clientSecretKey }}{{ $_ := set $settings "oidc-client-secret-file" (printf "/etc/dynamiq/oidc/%s" .clientSecretKey) }}{{ end }}
{{- if .caKey }}{{ $_ := set $settings "oidc-ca-file" (printf "/etc/dynamiq/oidc/%s" .caKey) }}{{ end }}
{{- if .scopes }}{{ $_ := set $settings "oidc-scopes" .scopes }}{{ end }}
{{- if .name }}{{ $_ := set $settings "oidc-name" .name }}{{ end }}
{{- end }}
{{- end }}
{{- toYaml $settings }}
{{- end }}

{{/* Where operator, API and gate find the recorder; empty where there is none. */}}
{{- define "dynamiq.recorder" -}}
{{- if .Values.recorder.url }}{{ .Values.recorder.url }}{{ else if .Values.recorder.enabled }}http://dynamiq-recorder.dynamiq-recorder.svc:8080{{ end }}
{{- end }}

{{/* Where operator, API and gate find the journal; empty where there is none. */}}
{{- define "dynamiq.journal" -}}
{{- if and .Values.recorder.enabled .Values.journal.enabled }}http://dynamiq-journal.dynamiq-journal.svc{{ end }}
{{- end }}

{{/* What the values say to a program, as a mapping of variables. Each name is one that its `--help` has. */}}
{{- define "dynamiq.settings" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $apps := $root.Values.apps -}}
{{- $logs := ne $root.Values.logLevel "info" | ternary $root.Values.logLevel "" -}}
{{- $port := eq (int $apps.publicPort) 0 | ternary "" (int $apps.publicPort | toString) -}}
{{- $outside := dict "DYNAMIQ_DOMAIN" $apps.domain "DYNAMIQ_PUBLIC_SCHEME" $apps.publicScheme "DYNAMIQ_PUBLIC_PORT" $port -}}
{{- $common := dict "DYNAMIQ_LOG_LEVEL" $logs "DYNAMIQ_RECORDER" (include "dynamiq.recorder" $root) "DYNAMIQ_JOURNAL" (include "dynamiq.journal" $root) -}}
{{- if eq $component "operator" }}
{{- $notify := $root.Values.notifications -}}
{{- $told := dict -}}
{{- if $notify.existingSecret }}{{ $told = dict "DYNAMIQ_NOTIFY_SECRET" $notify.existingSecret "DYNAMIQ_NOTIFY_FORMAT" $notify.format }}{{ end }}
{{- $gate := eq $root.Values.gate.namespace "dynamiq-gate" | ternary "" $root.Values.gate.namespace -}}
{{- $own := dict "DYNAMIQ_INGRESS_CLASS" $apps.ingressClass "DYNAMIQ_GATEWAY" $apps.gateway "DYNAMIQ_GATE_NAMESPACE" $gate -}}
{{- $_ := set $own "DYNAMIQ_IMAGE_POLICY" (eq $apps.imagePolicy "any" | ternary "" $apps.imagePolicy) -}}
{{- $_ := set $own "DYNAMIQ_METRICS_FROM" (join "," $apps.metricsFrom) -}}
{{- $_ := set $own "DYNAMIQ_NOTIFY_ALLOW_NETWORKS" (join "," $notify.allowNetworks) -}}
{{- merge (dict) $own $told $outside $common | toYaml }}
{{- else if eq $component "api" }}
{{- $own := dict "DYNAMIQ_CONSOLE" ($root.Values.console.enabled | ternary "" "false") -}}
{{- merge (dict) $own $outside $common | toYaml }}
{{- else if eq $component "gate" }}
{{- $common | toYaml }}
{{- else if eq $component "recorder" }}
{{- $journal := include "dynamiq.journal" $root | empty | ternary "" "system:serviceaccount:dynamiq-journal:dynamiq-journal" -}}
{{- dict "DYNAMIQ_RECORDER_LOG_LEVEL" $logs "DYNAMIQ_RECORDER_JOURNAL_ACCOUNT" $journal | toYaml }}
{{- else }}
{{- dict "DYNAMIQ_JOURNAL_LOG_LEVEL" $logs | toYaml }}
{{- end }}
{{- end }}

{{/* (list $ "operator" (list "POD_NAME")): its variables beside those that are always there, and those of extraEnv; none twice. */}}
{{- define "dynamiq.env" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $taken := index . 2 -}}
{{- $variables := list -}}
{{- range $name, $value := include "dynamiq.settings" . | fromYaml }}
{{- if $value }}{{ $taken = append $taken $name }}{{ $variables = append $variables (dict "name" $name "value" $value) }}{{ end }}
{{- end }}
{{- range (index $root.Values $component).extraEnv }}
{{- if has .name $taken }}
{{- fail (printf "%s.extraEnv has %s, which the chart sets itself: use its value instead, if it has one" $component .name) }}
{{- end }}
{{- $taken = append $taken .name }}
{{- $variables = append $variables . }}
{{- end }}
{{- with $variables }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* (list "pre-delete" "0"): annotations of what helm makes for a moment, in the order of the weights, and takes away again. */}}
{{- define "dynamiq.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* Of the specs of such pods, which run where the operator's do. */}}
{{- define "dynamiq.hookPod" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- with include "dynamiq.pod" (list . "operator") }}
{{ . }}
{{- end }}
{{- end }}

{{- define "dynamiq.hookContainer" -}}
image: {{ include "dynamiq.image" (list . "operator") | quote }}
imagePullPolicy: {{ .Values.images.pullPolicy }}
resources:
  requests:
    cpu: 50m
    memory: 64Mi
  limits:
    memory: 256Mi
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop:
    - ALL
{{- end }}
