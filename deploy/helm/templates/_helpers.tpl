{{- define "pit.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "pit.labels" -}}
app.kubernetes.io/name: pit-pipeline
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Pod Security `restricted`, and no more: of a pod, and of a container. */}}
{{- define "pit.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "pit.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Of every container that is Dagster: what it is told, where it may write. */}}
{{- define "pit.env" -}}
- name: DAGSTER_PG_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .Values.postgres.secretName }}, key: password}}
{{- end }}
{{- define "pit.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: executor-template, mountPath: /etc/pit-pipeline, readOnly: true}
{{- end }}
{{- define "pit.volumes" -}}
- {name: tmp, emptyDir: {}}
- {name: executor-template, configMap: {name: pit-pipeline-executor-template}}
{{- end }}
{{- define "pit.nodes" -}}
{{- with .Values.nodePools.platform }}
nodeSelector: {karpenter.sh/nodepool: {{ . }}}
{{- end }}
{{- end }}

{{/* Run pods and, since they inherit it, step pods. */}}
{{- define "pit.runLauncher" -}}
module: dagster_k8s
class: K8sRunLauncher
config:
  load_incluster_config: true
  job_namespace: {{ .Release.Namespace }}
  service_account_name: {{ .Values.serviceAccounts.platform }}
  instance_config_map: pit-pipeline-instance
  dagster_home: /opt/dagster
  image_pull_policy: {{ .Values.image.pullPolicy }}
  image_pull_secrets: {{ toJson .Values.imagePullSecrets }}
  env_config_maps: [pit-pipeline-settings]
  env_secrets: {{ toJson .Values.envSecrets }}
  run_k8s_config:
    pod_template_spec_metadata:
      annotations:
        karpenter.sh/do-not-disrupt: "true"
        cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
    pod_spec_config:
      enable_service_links: false
      security_context: {{- include "pit.podSecurity" . | nindent 8 }}
      volumes: {{- include "pit.volumes" . | nindent 8 }}
      {{- with .Values.nodePools.platform }}
      node_selector: {karpenter.sh/nodepool: {{ . }}}
      {{- end }}
    container_config:
      security_context: {{- include "pit.containerSecurity" . | nindent 8 }}
      resources: {{- toYaml .Values.run.resources | nindent 8 }}
      env: {{- include "pit.env" . | nindent 8 }}
      volume_mounts: {{- include "pit.mounts" . | nindent 8 }}
    job_spec_config:
      backoff_limit: 0
      ttl_seconds_after_finished: {{ .Values.run.ttlSecondsAfterFinished }}
{{- end }}

{{/* What a cluster adds to dagster.yaml: launching, and what to do about pods that are lost. */}}
{{- define "pit.onKubernetes" -}}
run_launcher: {{- include "pit.runLauncher" . | nindent 2 }}
concurrency:
  runs: {max_concurrent_runs: {{ .Values.dagsterDaemon.maxConcurrentRuns }}}
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: {{ .Values.run.startTimeoutSeconds }}
  # A run whose pod is lost begins anew (run_retries), its step gone with the pod. Resumed, it would start the step
  # under its old name, which Dagster refuses without a word, and wait for it.
  max_resume_run_attempts: 0
  max_runtime_seconds: {{ .Values.run.maxRuntimeSeconds }}
  free_slots_after_run_end_seconds: 300
run_retries:
  enabled: true
  max_retries: 2
  # Steps have their own retries; a day that cannot be made is not tried again.
  retry_on_asset_or_op_failure: false
# What Dagster puts on a disk beside.
local_artifact_storage:
  module: dagster.core.storage.root
  class: LocalArtifactStorage
  config: {base_dir: /tmp/dagster}
{{- end }}

{{/* Whether a program may live: the password that its container was started with still opens the database, and it
     answers (`.`: the question, lines of Python). A Secret that changes reaches a container only when that starts anew.
     A database that is away for minutes restarts pods as well, which then could not work either. */}}
{{- define "pit.alive" -}}
exec:
  command:
    - python
    - -c
    - |
      import os, psycopg2
      names = dict(host="HOST", port="PORT", dbname="DB", user="USERNAME", password="PASSWORD")
      psycopg2.connect(connect_timeout=15, **{key: os.environ["DAGSTER_PG_" + name] for key, name in names.items()})
      {{- join "\n" . | nindent 6 }}
periodSeconds: 60
timeoutSeconds: 45
failureThreshold: 5
{{- end }}
