{{- define "podlatch-agent.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes in the life of a release. */}}
{{- define "podlatch-agent.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "podlatch-agent.labels" -}}
{{ include "podlatch-agent.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "podlatch-agent.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "podlatch-agent.fullname" .) -}}
{{- end -}}

{{/* The Secret that holds the join token; empty where there is no token (any more). */}}
{{- define "podlatch-agent.joinSecret" -}}
{{- if .Values.joinToken.value -}}
{{- printf "%s-join" (include "podlatch-agent.fullname" .) -}}
{{- else -}}
{{- .Values.joinToken.existingSecret.name -}}
{{- end -}}
{{- end -}}

{{- define "podlatch-agent.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Restricted Pod Security, and nothing writable. */}}
{{- define "podlatch-agent.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "podlatch-agent.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What every sub-command of the agent reads; each replica has a Secret of its own, named after its pod. */}}
{{- define "podlatch-agent.env" -}}
- name: PODLATCH_RELAY
  value: {{ .Values.relay.address | quote }}
- name: PODLATCH_CA_PIN
  value: {{ .Values.relay.caPin | quote }}
- name: PODLATCH_IDENTITY
  value: {{ printf "secret:%s/$(PODLATCH_REPLICA)-identity" .Release.Namespace | quote }}
{{- with .Values.namespaces | default .Values.guard.namespaces }}
- name: PODLATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.guard.podLabels }}
- name: PODLATCH_POD_LABELS
  value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.impersonation.enabled }}
- name: PODLATCH_KUBERNETES_IDENTITY
  value: impersonate
- name: PODLATCH_IMPERSONATE_USER_PREFIX
  value: {{ .Values.impersonation.userPrefix | quote }}
{{- with .Values.impersonation.groups }}
- name: PODLATCH_IMPERSONATE_GROUPS
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- if .Values.debug.enabled }}
- name: PODLATCH_DEBUG_IMAGES
  value: {{ join "," .Values.debug.images | default "*" | quote }}
{{- end }}
- name: PODLATCH_LOG
  value: {{ .Values.log.filter | quote }}
- name: PODLATCH_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
{{- end -}}

{{/* What the agent may do in the pods' namespaces: see pods and workloads, open terminals. Both verbs of pods/exec are
needed: a terminal's WebSocket is a GET, and Kubernetes 1.35 and later check "create" besides. */}}
{{- define "podlatch-agent.rules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/exec]
  verbs: [get, create]
{{- if .Values.debug.enabled }}
- apiGroups: [""]
  resources: [pods/ephemeralcontainers]
  verbs: [patch]
{{- end }}
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets, replicasets]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list, watch]
{{- end -}}
