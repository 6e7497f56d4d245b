{{- /* What a container runs: give it an image of the values, and the chart. */ -}}
{{- define "sluice.image" -}}
{{- $tag := .image.tag | default .chart.AppVersion -}}
{{- .image.repository }}{{ ternary "@" ":" (hasPrefix "sha256:" $tag) }}{{ $tag -}}
{{- end -}}
