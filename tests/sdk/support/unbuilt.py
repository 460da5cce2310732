"""Prints the classes of models' answers that are not built yet."""

from __future__ import annotations

from litellm.types.utils import ModelResponse, ModelResponseStream, Usage
from openai.types import CreateEmbeddingResponse, ImagesResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk, chat_completion, chat_completion_chunk

ANSWERS = (
    *(ChatCompletion, chat_completion.Choice, chat_completion.ChatCompletionMessage, chat_completion.CompletionUsage),
    *(ChatCompletionChunk, chat_completion_chunk.Choice, chat_completion_chunk.ChoiceDelta),
    *(CreateEmbeddingResponse, ImagesResponse, ModelResponse, ModelResponseStream, Usage),
)

if __name__ == "__main__":
    print([answer.__qualname__ for answer in ANSWERS if not answer.__pydantic_complete__])
