"""Prints the classes of models' answers that are not built yet after a flow with a model is loaded."""

from __future__ import annotations

import os

from dynamiq_runtime.engine_choice import load_engine
from tests.support import openai


def main() -> None:
    """Loads the flow, and prints the classes."""
    os.environ.update(MODEL_URL="http://127.0.0.1:9", MODEL_KEY=openai.KEY)
    load_engine("sdk", openai.a_flow(streaming=False), os.environ)
    from litellm.types.utils import ModelResponse, ModelResponseStream, Usage
    from openai.types import CreateEmbeddingResponse, ImagesResponse
    from openai.types.chat import ChatCompletion, ChatCompletionChunk, chat_completion, chat_completion_chunk

    answers = (
        *(ChatCompletion, chat_completion.Choice, chat_completion.ChatCompletionMessage, chat_completion.CompletionUsage),
        *(ChatCompletionChunk, chat_completion_chunk.Choice, chat_completion_chunk.ChoiceDelta),
        *(CreateEmbeddingResponse, ImagesResponse, ModelResponse, ModelResponseStream, Usage),
    )
    print([answer.__qualname__ for answer in answers if not answer.__pydantic_complete__])


if __name__ == "__main__":
    main()
