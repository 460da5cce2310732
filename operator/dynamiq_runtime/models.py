"""Names models by OpenTelemetry's GenAI conventions. The SDK's names are `<provider>/<model>`, like in its price library."""

from __future__ import annotations

PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""Providers whose name differs there."""


def named_model(model: str, node_type: str) -> tuple[str, str]:
    """Returns provider and model. `model`: the SDK's, `openai/gpt-4o-mini`; without a provider in it, the node's class names one."""
    before, slash, after = model.partition("/")
    if slash and before and after:
        return PROVIDERS.get(before, before), after
    return node_type.rpartition(".")[2].lower(), model
