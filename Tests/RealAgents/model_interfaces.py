"""The interfaces that scripted-model.py serves: how each says what it asks for, its answers, streams and errors."""
import json, re, time, uuid

COMMAND = 'echo "the work is done" >> done.txt'
TEXT = "the work is done"


def texts_of(content):
    """The texts of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or [] if isinstance(part, dict) and isinstance(part.get("text"), str)]


def arguments_for(schema):
    """Arguments of a shell tool by its schema, or nothing when it has no command."""
    properties = (schema or {}).get("properties", {})
    for name in ("command", "cmd"):
        if name in properties:
            is_list = properties[name].get("type") == "array"
            arguments = {name: ["bash", "-c", COMMAND] if is_list else COMMAND}
            if "description" in properties:
                arguments["description"] = "Write done.txt"
            return arguments
    return None


def shell_tool(tools):
    """The first tool of (name, schema) pairs that runs a command, with arguments."""
    for name, schema in tools:
        if re.search(r"bash|shell|exec|command|terminal", name, re.IGNORECASE):
            arguments = arguments_for(schema)
            if arguments:
                return name, arguments
    return None


class Messages:
    """Anthropic Messages."""

    usage = {"input_tokens": 1000, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 200,
             "output_tokens": 50}

    def __init__(self, body):
        self.body = body
        self.model = body.get("model")
        self.session = (body.get("metadata") or {}).get("user_id")
        messages = body.get("messages", [])
        self.user_texts = [t for m in messages if m.get("role") == "user" for t in texts_of(m.get("content"))]
        self.has_result = False
        for message in messages:
            parts = message.get("content")
            is_result = isinstance(parts, list) and any(p.get("type") == "tool_result" for p in parts)
            self.has_result = is_result or (self.has_result and message.get("role") != "assistant")
        self.tool = shell_tool((t.get("name", ""), t.get("input_schema")) for t in body.get("tools") or [])
        self.edit = None

    @staticmethod
    def error(kind, message):
        kind = {"authentication": "authentication_error", "throttle": "rate_limit_error",
                "unknown": "not_found_error"}.get(kind, "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}}

    def answer(self, text, call):
        content = [{"type": "text", "text": text}] if text else []
        if call:
            name, arguments = call
            content.append({"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:24]}", "name": name,
                            "input": arguments})
        return {"id": f"msg_{uuid.uuid4().hex[:24]}", "type": "message", "role": "assistant", "model": self.model,
                "content": content, "stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None,
                "usage": self.usage}

    def events(self, text, call):
        whole = self.answer(text, call)
        yield {"type": "message_start", "message": whole | {"content": [], "stop_reason": None,
                                                            "usage": self.usage | {"output_tokens": 1}}}
        for index, block in enumerate(whole["content"]):
            if block["type"] == "text":
                empty, delta = block | {"text": ""}, {"type": "text_delta", "text": block["text"]}
            else:
                empty = block | {"input": {}}
                delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            yield {"type": "content_block_start", "index": index, "content_block": empty}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        yield {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
               "usage": self.usage}
        yield {"type": "message_stop"}

    @staticmethod
    def is_text(event):
        return event["type"] == "content_block_delta"


def openai_error(kind, message):
    kind, code = {"authentication": ("invalid_request_error", "invalid_api_key"),
                  "throttle": ("requests", "rate_limit_exceeded"),
                  "unknown": ("invalid_request_error", "unknown_url")}.get(kind, ("invalid_request_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Responses:
    """OpenAI Responses."""

    usage = {"input_tokens": 1200, "input_tokens_details": {"cached_tokens": 200}, "output_tokens": 50,
             "output_tokens_details": {"reasoning_tokens": 10}, "total_tokens": 1250}
    error = staticmethod(openai_error)

    def __init__(self, body):
        self.body = body
        self.model = body.get("model")
        self.session = body.get("prompt_cache_key")
        items = body.get("input", [])
        items = [{"role": "user", "content": items}] if isinstance(items, str) else items
        self.user_texts = [t for i in items if i.get("role") == "user" for t in texts_of(i.get("content"))]
        self.has_result = False
        for item in items:
            is_result = item.get("type", "").endswith("_call_output")
            is_models = item.get("role") == "assistant" or item.get("type", "").endswith(("_call", "reasoning"))
            self.has_result = is_result or (self.has_result and not is_models)
        # Codex sends its tools as an item of the input.
        offered = [t for holder in [body, *items] for t in holder.get("tools") or []]
        self.tool = self.shell(self.flattened(offered))
        self.edit = None

    @classmethod
    def flattened(cls, tools):
        """The tools with those in namespaces."""
        return [t for tool in tools for t in (cls.flattened(tool["tools"]) if "tools" in tool else [tool])]

    @staticmethod
    def shell(tools):
        """A function, or a tool that takes a program of calls (Codex's code mode), or the provider's own shell."""
        for tool in tools:
            if tool.get("type") == "custom" and tool.get("name") == "exec":
                return "exec", f"text(await tools.exec_command({{cmd: {json.dumps(COMMAND)}}}));"
            if tool.get("type") == "local_shell":
                return "local_shell", None
        return shell_tool((t.get("name", ""), t.get("parameters")) for t in tools if t.get("type") == "function")

    def answer(self, text, call):
        output = []
        if text:
            part = {"type": "output_text", "text": text, "annotations": []}
            output.append({"type": "message", "id": f"msg_{uuid.uuid4().hex}", "role": "assistant",
                           "status": "completed", "content": [part]})
        if call:
            output.append(self.call_item(*call))
        return {"id": f"resp_{uuid.uuid4().hex}", "object": "response", "created_at": int(time.time()),
                "status": "completed", "model": self.model, "output": output, "usage": self.usage}

    @staticmethod
    def call_item(name, arguments):
        item = {"id": f"fc_{uuid.uuid4().hex}", "call_id": f"call_{uuid.uuid4().hex[:24]}", "status": "completed"}
        if name == "local_shell":
            return item | {"type": "local_shell_call", "action": {"type": "exec", "command": ["bash", "-c", COMMAND]}}
        if isinstance(arguments, str):
            return item | {"type": "custom_tool_call", "name": name, "input": arguments}
        return item | {"type": "function_call", "name": name, "arguments": json.dumps(arguments)}

    def events(self, text, call):
        whole = self.answer(text, call)
        empty = whole | {"status": "in_progress", "output": [], "usage": None}
        yield {"type": "response.created", "response": empty}
        for index, item in enumerate(whole["output"]):
            at = {"item_id": item["id"], "output_index": index}
            started = item | {"status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": index, "item": started}
            if item["type"] == "message":
                at["content_index"] = 0
                yield {"type": "response.output_text.delta", "delta": text} | at
                yield {"type": "response.output_text.done", "text": text} | at
            elif item["type"] == "function_call":
                yield {"type": "response.function_call_arguments.delta", "delta": item["arguments"]} | at
                yield {"type": "response.function_call_arguments.done", "arguments": item["arguments"]} | at
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": "response.completed", "response": whole}

    @staticmethod
    def is_text(event):
        return event["type"] == "response.output_text.delta"


class ChatCompletions:
    """OpenAI Chat Completions."""

    usage = {"prompt_tokens": 1200, "prompt_tokens_details": {"cached_tokens": 200}, "completion_tokens": 50,
             "total_tokens": 1250}
    error = staticmethod(openai_error)

    def __init__(self, body):
        self.body = body
        self.model = body.get("model")
        self.session = None
        messages = body.get("messages", [])
        self.user_texts = [t for m in messages if m.get("role") == "user" for t in texts_of(m.get("content"))]
        self.has_result = bool(messages) and messages[-1].get("role") == "tool"
        functions = [t.get("function", {}) for t in body.get("tools") or []]
        self.tool = shell_tool((f.get("name", ""), f.get("parameters")) for f in functions)
        self.edit = self.file_edit("\n".join(t for m in messages for t in texts_of(m.get("content"))))

    @staticmethod
    def file_edit(texts):
        """An edit in one of aider's two formats, when the conversation explains one."""
        if "SEARCH/REPLACE" in texts:
            return f"done.txt\n```\n<<<<<<< SEARCH\n=======\n{TEXT}\n>>>>>>> REPLACE\n```\n"
        return f"done.txt\n```\n{TEXT}\n```\n" if "file listing" in texts else None

    def answer(self, text, call):
        message = {"role": "assistant", "content": text or None}
        if call:
            message["tool_calls"] = [{"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function",
                                      "function": {"name": call[0], "arguments": json.dumps(call[1])}}]
        return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion", "created": int(time.time()),
                "model": self.model, "usage": self.usage,
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}]}

    def events(self, text, call):
        whole = self.answer(text, call)
        choice = whole.pop("choices")[0]
        usage = whole.pop("usage")
        includes_usage = (self.body.get("stream_options") or {}).get("include_usage")
        whole |= {"object": "chat.completion.chunk"} | ({"usage": None} if includes_usage else {})

        def chunk(delta, reason=None):
            return whole | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

        yield chunk({"role": "assistant", "content": ""})
        if text:
            yield chunk({"content": text})
        for index, tool in enumerate(choice["message"].get("tool_calls", [])):
            yield chunk({"tool_calls": [{"index": index} | tool]})
        yield chunk({}, choice["finish_reason"])
        if includes_usage:
            yield whole | {"choices": [], "usage": usage}
        yield "[DONE]"

    @staticmethod
    def is_text(event):
        return any(choice["delta"].get("content") for choice in event["choices"])
