"""Conversations to try chat templates with, and Python's Jinja2 set up as transformers does it."""

import copy
import datetime
import json

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather at a place, \"now\" or <later>",
        "parameters": {"type": "object", "properties": {
            "location": {"type": "string", "description": "City & country"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "default": 1, "nullable": True},
            "where": {"type": "object", "description": "Point", "properties": {
                "lat": {"type": "number"}, "lon": {"type": "number"}}, "required": ["lat"]},
            "tags": {"type": "array", "items": {"type": "string"}}},
            "required": ["location"]},
        "return": {"type": "string"}}},
    {"type": "function", "function": {
        "name": "stop", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
SYSTEM = {"role": "system", "content": "  You are brief.\n"}
USER = {"role": "user", "content": "What's the weather in Paris?"}
ANSWER = {"role": "assistant", "content": "Sunny & 21 °C."}
MORE = {"role": "user", "content": "And tomorrow? <b>\"quoted\"</b> it's"}
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def call(arguments, content="", call_id="call12345"):
    return {"role": "assistant", "content": content, "tool_calls": [
        {"id": call_id, "type": "function",
         "function": {"name": "get_weather", "arguments": arguments}}]}


def result(content='{"temperature": 21.5, "sky": "clear"}', call_id="call12345"):
    return {"role": "tool", "tool_call_id": call_id, "name": "get_weather", "content": content}


ARGUMENTS = {"location": "Paris", "days": 2, "where": {"lat": 48.85, "lon": None}, "tags": ["a", "é"],
             "unit": True}


def contexts():
    """[(name, variables)]"""
    long_call = call(ARGUMENTS, None)
    two_calls = copy.deepcopy(call({"location": "Oslo"}, "Looking ..."))
    two_calls["tool_calls"].append(
        {"id": "call67890", "type": "function",
         "function": {"name": "stop", "arguments": {}}})
    parts = [{"type": "text", "text": "Look: "}, {"type": "text", "text": "this."}]
    thinking = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nSunny.",
                "reasoning_content": "It is\nsunny."}
    cases = [
        ("user", [USER], {}),
        ("user, no generation prompt", [USER], {"add_generation_prompt": False}),
        ("system", [SYSTEM, USER], {}),
        ("turns", [SYSTEM, USER, ANSWER, MORE], {}),
        ("ends with the assistant", [USER, ANSWER], {"add_generation_prompt": False}),
        ("turns without bos", [USER, ANSWER, MORE, ANSWER, USER], {"bos_token": None}),
        ("tools", [SYSTEM, USER], {"tools": TOOLS}),
        ("tools without system", [USER], {"tools": TOOLS}),
        ("tool call", [SYSTEM, USER, long_call, result(), ANSWER, MORE], {"tools": TOOLS}),
        ("tool call, waiting", [USER, call(ARGUMENTS), result()], {"tools": TOOLS}),
        ("tool call as JSON", [USER, call(json.dumps(ARGUMENTS)), result(), ANSWER],
         {"tools": TOOLS}),
        ("two calls", [USER, two_calls, result(), result("done", "call67890")],
         {"tools": TOOLS}),
        ("call without tools", [USER, call({"location": "Rome"}), result(), MORE], {}),
        ("result in parts", [USER, call({}), result(parts)], {"tools": TOOLS}),
        ("empty content", [{"role": "system", "content": ""}, {"role": "user", "content": ""}], {}),
        ("null content", [USER, {"role": "assistant", "content": None}, MORE], {}),
        ("missing content", [USER, {"role": "assistant"}, MORE], {}),
        ("parts", [{"role": "system", "content": parts}, {"role": "user", "content": parts}], {}),
        ("picture", [{"role": "user", "content": parts + [{"type": "image"}]}], {}),
        ("reasoning", [USER, thinking, MORE], {}),
        ("reasoning before a call",
         [USER, {**call({"location": "Bern"}), "reasoning_content": "Ask."}, result()],
         {"tools": TOOLS}),
        ("thinking on", [SYSTEM, USER], {"enable_thinking": True, "thinking": True}),
        ("thinking off", [USER, ANSWER, MORE], {"enable_thinking": False, "thinking": False}),
        ("unicode", [{"role": "user", "content": "naïve 日本 👩‍🚀 \u2028 ẞ\n\n"}, ANSWER], {}),
        ("spaces", [{"role": "user", "content": " \n x \t\n"}], {}),
        ("two users", [USER, MORE], {}),
        ("starts with the assistant", [ANSWER, USER], {}),
        ("late system", [USER, SYSTEM, MORE], {}),
        ("developer", [{"role": "developer", "content": "Rules."}, USER], {"tools": TOOLS}),
        ("unknown role", [{"role": "narrator", "content": "Once"}], {}),
        ("empty tools", [USER], {"tools": []}),
        ("no messages", [], {}),
        ("documents", [USER], {"documents": [{"title": "T", "text": "Some text"}]}),
        ("markup in content", [{"role": "user", "content": "<|im_end|>{{ x }}{% raw %}</s>"}], {}),
        ("options", [SYSTEM, USER], {"tools": TOOLS, "reasoning_effort": "high",
                                     "builtin_tools": ["browser", "python"],
                                     "model_identity": "You are X.", "date_string": "1 Jan 2026",
                                     "keep_past_thinking": True}),
    ]
    made = []
    for name, messages, more in cases:
        variables = {**SPECIAL, "messages": messages, "tools": None, "documents": None,
                     "add_generation_prompt": True, **more}
        if variables["bos_token"] is None:
            del variables["bos_token"]
        made.append((name, variables))
    return made


def environment(now=None):
    """Python's Jinja2 as transformers sets it up for chat templates."""
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

        def _body(self, caller):
            return caller()

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def strftime_now(layout):
        return (now or datetime.datetime.now()).strftime(layout)

    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = strftime_now
    return made


def render(text, variables, now=None):
    """(output, None) or (None, error)."""
    try:
        return environment(now).from_string(text).render(**variables), None
    except Exception as error:  # whatever a template can make Python raise
        return None, f"{type(error).__name__}: {error}"
