// The four files of a device, from its values `p`.
local kv(o, f) = std.join("", [f(k, o[k]) for k in std.objectFields(o)]);
{
  render(p):: $.plain(p) + { [k + ".yaml"]: std.manifestYamlDoc($.yaml(p)[k]) + "\n" for k in std.objectFields($.yaml(p)) }
    + { "manifest.json": std.manifestJsonEx($.json(p).manifest, "  ") + "\n" },
  plain(p):: {
    "slm.service":
      "# Generated. Do not edit.\n[Unit]\nDescription=SLM %s on %s (%s/%s)\nAfter=network-online.target\nWants=network-online.target\n\n[Service]\nType=simple\n" % [p.model_name, p.device, p.site, p.region]
      + kv(p.env, function(k, v) "Environment=%s=%s\n" % [k, v])
      + "ExecStart=/usr/bin/slm-serve --model /var/lib/slm/models/%s-%s-%s.onnx --threads %d --port %d --max-tokens %d --log-level %s\nRestart=on-failure\nRestartSec=%d\nMemoryMax=%dM\n\n[Install]\nWantedBy=multi-user.target\n"
        % [p.model_name, p.model_version, p.quantization, p.threads, p.port, p.max_tokens, p.log_level, p.restart_sec, p.memory_mb],
  },
  yaml(p):: {
    compose: {
      services: { slm: {
        image: p.runtime_image + ":" + p.runtime_version,
        platform: "linux/" + p.arch,
        restart: "on-failure",
        ports: ["%d:%d" % [p.port, p.port]],
        environment: p.env,
        labels: p.labels,
        command: ["--model", "/models/%s-%s-%s.onnx" % [p.model_name, p.model_version, p.quantization],
                  "--threads", "%d" % p.threads, "--max-tokens", "%d" % p.max_tokens],
        deploy: { resources: { limits: { cpus: p.cpu_limit, memory: "%dM" % p.memory_mb } } },
      } },
    },
    deployment: {
      apiVersion: "apps/v1", kind: "Deployment",
      metadata: { name: "slm-" + p.device, namespace: p.fleet, labels: p.labels,
        annotations: { "slm.example.com/model-digest": p.model_digest, "slm.example.com/update-window": p.update_window } },
      spec: { replicas: 1, selector: { matchLabels: { device: p.device } },
        template: { metadata: { labels: p.labels }, spec: { nodeName: p.device, containers: [{
          name: "slm", image: p.runtime_image + ":" + p.runtime_version,
          args: ["--model=/models/%s-%s-%s.onnx" % [p.model_name, p.model_version, p.quantization],
                 "--threads=%d" % p.threads, "--max-tokens=%d" % p.max_tokens, "--telemetry=" + p.telemetry_endpoint],
          ports: [{ containerPort: p.port }],
          env: [{ name: k, value: p.env[k] } for k in std.objectFields(p.env)],
          resources: { limits: { cpu: p.cpu_limit, memory: "%dMi" % p.memory_mb } } }] } } },
    },
  },
  json(p):: {
    manifest: {
      accelerator: p.accelerator, arch: p.arch, device: p.device, env: p.env, fleet: p.fleet, labels: p.labels,
      log_level: p.log_level, max_tokens: p.max_tokens, memory_mb: p.memory_mb,
      model: { digest: p.model_digest, name: p.model_name, quantization: p.quantization, version: p.model_version },
      port: p.port, region: p.region, runtime: { image: p.runtime_image, version: p.runtime_version },
      site: p.site, telemetry_endpoint: p.telemetry_endpoint, threads: p.threads, update_window: p.update_window,
    },
  },
}
