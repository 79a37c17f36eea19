"""A blueprint that uses every key there is, and what the format says about each of its values."""

from __future__ import annotations

from typing import Any

RICH: dict[str, Any] = {
    "apiVersion": "slmc.dev/v1alpha1",
    "kind": "Blueprint",
    "models": {
        "assistant": {
            "task": "text-generation",
            "license": "Apache-2.0",
            "evaluate": {"data": "data/faq.jsonl", "maxTokens": 4096},
            "versions": {"1.4.0": {"source": "models/assistant-1.4"}, "2_b+c": {"source": "models/b"}},
        }
    },
    "recipes": {
        "every-step": {
            "steps": [
                {"kind": "optimize", "level": "basic"},
                {"kind": "quantize", "scheme": "int8-dynamic", "perChannel": False},
                {"kind": "quantize", "scheme": "int4", "blockSize": 64, "symmetric": True},
                {"kind": "quantize", "scheme": "int8"},
            ],
            "gates": {
                "perplexity": {"max": 50},
                "perplexityRatio": {"max": 1.03},
                "klDivergence": {"max": 0.05},
                "topOneAgreement": {"min": "95%"},
                "size": {"max": "450MiB"},
                "tokensPerSecond": {"min": 10.5},
                "peakMemory": {"max": "1.5 GB"},
            },
        }
    },
    "deviceClasses": {
        "pi-5-8g": {
            "extends": "builtin/raspberry-pi-5-8g",
            "arch": "arm64",
            "isa": ["neon", "dotprod"],
            "cores": 4,
            "memory": "8GB",
            "reservedMemory": "2GiB",
            "storage": "32GB",
            "reservedStorage": "4GB",
            "accelerators": ["npu"],
            "powerWatts": 12,
            "price": {"usd": 80.5, "date": "2025-12", "source": "a shop"},
            "systemd": 252,
            "source": "the data sheet",
        }
    },
    "fleets": {
        "stores-eu": {
            "inventory": ["inventory/a.csv", "inventory/b.jsonl"],
            "region": "eu",
            "runs": {
                "assistant": {
                    "model": "assistant@1.4.0",
                    "recipe": "every-step",
                    "match": {"class": "pi-5-8g", "site": ["berlin", "rome"]},
                    "threads": 2,
                    "contextLength": 2048,
                    "memoryLimit": "2GiB",
                    "serve": {
                        "image": "registry.example/server@sha256:" + "0123456789abcdef" * 4,
                        "command": ["/usr/bin/server", "--quiet"],
                        "port": 9000,
                    },
                    "environment": {"LOG_LEVEL": "info"},
                    "parameters": {"greeting": "hello"},
                }
            },
            "columns": {"RAM": "fact.memory"},
            "order": ["region", "site"],
            "overridable": {"site": ["runs", "privacy.egress"]},
            "targets": ["systemd", "container"],
            "privacy": {"dataClass": "health", "residency": "eu", "egress": "deny", "telemetry": ["latency"]},
            "overlays": [
                {
                    "match": {"site": "berlin"},
                    "priority": 1,
                    "privacy": {"egress": "deny"},
                    "rules": {"runs.assistant.environment": "replace"},
                    "runs": {
                        "assistant": {
                            "model": "assistant@1.4.0",
                            "recipe": "every-step",
                            "threads": 1,
                            "contextLength": 1024,
                            "memoryLimit": "1GiB",
                            "serve": {"port": 9001},
                            "environment": {"LOG_LEVEL": "debug"},
                        }
                    },
                }
            ],
        }
    },
}

FREE = {
    "models", "recipes", "deviceClasses", "fleets", "versions", "match", "environment", "parameters", "columns",
    "overridable", "rules",
}  # fmt: skip
"""Keys whose mappings take any name; `runs` too."""

REQUIRED = {
    "task", "license", "evaluate", "data", "versions", "steps", "kind", "scheme", "usd", "date", "inventory", "targets",
    "max", "min", "apiVersion",
}  # fmt: skip
"""Keys that have to be written wherever they may be; `match`, `model`, `recipe`, `runs`, `source` in some mappings."""
