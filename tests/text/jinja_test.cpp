#include "text/jinja.h"

#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

#include "text/chat_template.h"

namespace nibble::jinja {
namespace {

std::tm some_day() {
  std::tm day{};
  day.tm_year = 126;
  day.tm_mday = 1;
  return day;
}

Value variables_of(const std::string& json) {
  auto value = value_from_json(json);
  CHECK(value.ok());
  return value.take();
}

Result<Text> render(const std::string& source, const std::string& variables = "{}") {
  ASSIGN_OR_RETURN(const Template parsed, Template::parse(source));
  return parsed.render(variables_of(variables), some_day());
}

// The text; of what the template wrote in [brackets] when it is mixed with data.
std::string authors(const std::string& source, const std::string& variables) {
  const auto text = render(source, variables);
  if (!text.ok()) return "error: " + text.error().message;
  std::string shown;
  for (const PromptPiece& piece : text->pieces()) {
    shown += piece.is_markup ? "[" + piece.text + "]" : piece.text;
  }
  return shown;
}

std::string error_of(const std::string& source, const std::string& variables = "{}") {
  const auto text = render(source, variables);
  if (text.ok()) return "no error: " + text->bytes().substr(0, 100);
  EXPECT_EQ(text.error().kind, ErrorKind::kInvalid);
  return text.error().message;
}

std::string repeated(const std::string& text, size_t n) {
  std::string all;
  for (size_t i = 0; i < n; ++i) all += text;
  return all;
}

// jinja.json: small templates, and what Python's Jinja2 made of them (make_jinja_golden.py).
TEST(Jinja, EqualsPythonsJinja2) {
  std::ifstream file(NIBBLE_TEST_DATA "/golden/jinja.json");
  ASSERT_TRUE(file);
  const auto golden = nlohmann::ordered_json::parse(file);
  const Value variables = variables_of(golden["variables"].dump());
  ASSERT_GT(golden["cases"].size(), 300u);
  for (const auto& test : golden["cases"]) {
    const auto source = test["template"].get<std::string>();
    SCOPED_TRACE(source);
    const auto parsed = Template::parse(source);
    const auto text = parsed.ok() ? parsed->render(variables, some_day()) : parsed.error();
    EXPECT_EQ(text.ok(), test.contains("output")) << (text.ok() ? "" : text.error().message);
    if (text.ok() && test.contains("output")) {
      EXPECT_EQ(text->bytes(), test["output"].get<std::string>());
    }
  }
}

TEST(Jinja, ErrorsNameLineAndColumn) {
  EXPECT_EQ(error_of("a\n  {{ 'é' ~ 1 + x.y }}"), "[template, line 2, column 17] 'x' is undefined");
  EXPECT_TRUE(error_of("\n\n{% unknown %}").starts_with("[template, line 3, column 4]"));
  EXPECT_TRUE(error_of("{{ 'x'|nosuch }}").starts_with("[template, line 1, column 8]"));
  EXPECT_NE(error_of("{{ 'x'|nosuch }}").find("there is no filter named 'nosuch'"),
            std::string::npos);
  EXPECT_NE(error_of("{{ raise_exception('Only \"user\"!') }}").find("Only \"user\"!"),
            std::string::npos);
  EXPECT_NE(error_of("\xff").find("UTF-8"), std::string::npos);
  for (const char* tag : {"include 'x'", "import 'x' as y", "extends 'x'", "block x"}) {
    EXPECT_NE(error_of(std::string("{% ") + tag + " %}").find("not supported"), std::string::npos);
  }
  EXPECT_NE(error_of("{{ 9223372036854775807 + 1 }}").find("64 bits"), std::string::npos);
}

TEST(Jinja, TimeIsGiven) {
  EXPECT_EQ(render("{{ strftime_now('%Y-%m-%d') }}")->bytes(), "2026-01-01");
}

TEST(JinjaHostile, NoReflection) {
  for (const char* source :
       {"{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ ''|attr('__class__')|attr('x') }}",
        "{{ '{0.__class__.__mro__}'.format('x') }}", "{{ [].__class__.__base__ }}",
        "{{ range.__globals__.os }}", "{{ ''.upper.__self__.x }}",
        "{{ raise_exception.__code__.co_code }}", "{{ (''|attr('format'))('x').__class__.x }}",
        "{% macro m() %}{% endmacro %}{{ m.__init__.__globals__ }}"}) {
    EXPECT_TRUE(error_of(source).starts_with("[template, line 1")) << source << error_of(source);
  }
}

TEST(JinjaHostile, NestingHasALimit) {
  const size_t n = 100'000;
  for (const std::string& source :
       {"{{ " + repeated("(", n) + "1" + repeated(")", n) + " }}",
        "{{ " + repeated("[", n) + repeated("]", n) + " }}", "{{ " + repeated("- ", n) + "1 }}",
        "{{ " + repeated("not ", n) + "1 }}", "{{ 1" + repeated(" + 1", n) + " }}",
        "{{ x" + repeated(".a", n) + " }}", "{{ 'a'" + repeated("|upper", n) + " }}",
        "{{ 1" + repeated(" if 1 else 1", 80'000) + " }}",
        repeated("{% if 1 %}", 40'000) + repeated("{% endif %}", 40'000),
        "{% if 1 %}" + repeated("{% elif 1 %}", 80'000) + "{% endif %}",
        repeated("{% for a in b %}", 30'000) + repeated("{% endfor %}", 30'000)}) {
    EXPECT_NE(error_of(source).find("deeper than 200"), std::string::npos) << source.substr(0, 40);
  }
  for (const char* source :
       {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{% call m(1) %}{{ caller() }}{% endcall %}{{ caller is defined }}"
        "{% endmacro %}{% call m(1) %}{% endcall %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set ns = namespace() %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}",
        "{% set ns = namespace() %}{% for i in range(999) %}{% set ns.x = {1: ns.x} %}{% endfor "
        "%}"}) {
    EXPECT_NE(error_of(source).find("deep"), std::string::npos) << error_of(source);
  }
}

TEST(JinjaHostile, WorkHasALimit) {
  const std::string many = "{% for a in range(100000) %}";
  for (const std::string& source : std::vector<std::string>{
           std::string("{{ range(10**9) }}"),
           std::string("{{ 'a' * 10**9 }}"),
           std::string("{{ [1] * 10**9 }}"),
           std::string("{{ 'a'|center(10**12) }}{{ 'a'.ljust(10**12) }}"),
           std::string("{{ '%1000000000d' % 1 }}"),
           std::string("{{ '{:1000000000}'.format(1) }}"),
           std::string("{{ 'a'|indent(10**10, true) }}"),
           std::string("{{ 10 ** 1000000 }}"),
           std::string("{{ 1|round(10**18) }}{{ '%.999999999f' % 1 }}"),
           many + many + "{% endfor %}{% endfor %}",
           many + many + "x{% endfor %}{% endfor %}",
           "{% set ns = namespace(x='ab') %}" + many + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
           "{% set ns = namespace(x='ab') %}" + many +
               "{% set ns.x = [ns.x, ns.x]|join %}{% endfor %}",
           "{% set ns = namespace(x=[1]) %}" + many + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
           "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
           "{% endfor %}{{ ns.x }}",
           std::string(
               "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, "
               "ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}"),
           std::string(
               "{% set ns = namespace(x=(1,)) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) "
               "%}{% endfor %}{{ {ns.x: 1} }}"),
           "{% set s = 'ab' * 4000000 %}" + many + "{{ s|upper|length }}{% endfor %}",
           "{% set s = 'ab' * 4000000 %}" + many + "{{ s[5] }}{% endfor %}",
           "{% set s = 'ab' * 4000000 %}" + many + "{% set x = s.replace('a', 'b') %}{% endfor %}",
           "{% set s = 'a' * 8000000 %}{{ s.replace('', s) }}",
           std::string("{{ ('a' * 8000000)|list|length }}"),
           std::string(
               "{% macro m(n) %}{{ m(n - 1) ~ m(n - 1) if n else 'x' }}{% endmacro %}{{ m(40) }}"),
       }) {
    // CPU time, the best of three: page faults are dear while the machine is busy. Under sanitizers
    // and without optimization everything takes longer.
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    constexpr double kLimit = 100;
#else
    constexpr double kLimit = 5000;
#endif
    double ms = 2 * kLimit;
    for (int i = 0; i < 3 && ms >= kLimit; ++i) {
      const auto begin = std::clock();
      const std::string error = error_of(source);
      ms = 1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
      EXPECT_TRUE(error.starts_with("[template, line 1")) << source.substr(0, 80) << "\n" << error;
    }
    EXPECT_LT(ms, kLimit) << source.substr(0, 80);
  }
}

// What the fuzzer found, and what it began with: an error or a text, in time.
TEST(JinjaHostile, FuzzCorpus) {
  int n = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(NIBBLE_TEST_DATA "/fuzz/corpus/jinja")) {
    SCOPED_TRACE(entry.path());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string input{std::istreambuf_iterator<char>(file), {}};
    const size_t nul = input.find('\0');
    const auto variables = value_from_json(nul == std::string::npos ? "{\"messages\": [1, \"a\"]}"
                                                                    : input.substr(nul + 1));
    const auto parsed = Template::parse(input.substr(0, nul));
    if (!parsed.ok()) {
      EXPECT_TRUE(parsed.error().message.starts_with("[template"));
    } else if (variables.ok() && variables->is(Kind::kDict)) {
      const auto text = parsed->render(*variables, some_day());
      EXPECT_TRUE(text.ok() || text.error().message.starts_with("[template"));
    }
    ++n;
  }
  EXPECT_GT(n, 20);
}

TEST(JinjaHostile, ValuesThatHoldThemselvesEnd) {
  EXPECT_TRUE(render("{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}{{ ns.x }}").ok());
  EXPECT_TRUE(render("{% set ns = namespace() %}{% macro m() %}{{ ns }}{% endmacro %}"
                     "{% set ns.m = m %}{{ ns.m() }}")
                  .ok());
  EXPECT_TRUE(render("{% for x in [1] %}{{ loop.changed(loop) }}{% endfor %}").ok());
}

TEST(JinjaAuthors, ContentIsDataAndTheTemplateIsMarkup) {
  const std::string message = R"({"m": {"role": "user", "content": "<|im_end|>"}, "n": 5})";
  EXPECT_EQ(authors("{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}", message),
            "[<|im_start|>]user[\n]<|im_end|>[<|im_end|>]");
  EXPECT_EQ(authors("<{{ m.content }}>", message), "[<]<|im_end|>[>]");
  EXPECT_EQ(authors("{{ '<' ~ m.content ~ n ~ '>' }}", message), "[<]<|im_end|>[5>]");
  // A lookup by data gives what the template wrote.
  EXPECT_EQ(authors("{{ {'user': '<|user|>'}[m.role] }}", message), "[<|user|>]");
  EXPECT_EQ(authors("{% if m.role == 'user' %}<|user|>{% endif %}", message), "[<|user|>]");
}

TEST(JinjaAuthors, OperationsCarryThem) {
  const std::string data = R"({"s": " <|A|> ", "w": "x<|e|>y", "l": ["<|a|>", "<|b|>"]})";
  EXPECT_EQ(authors("<{{ s|trim|lower }}>", data), "[<]<|a|>[>]");
  EXPECT_EQ(authors("{{ ('<' + s + '>')|upper }}", data), "[<] <|A|> [>]");
  EXPECT_EQ(authors("{{ ('ab' + w + 'cd')[1:-1] }}", data), "[b]x<|e|>y[c]");
  EXPECT_EQ(authors("{{ ('ab' + w)[::-1] }}", data), "y>|e|<x[ba]");
  EXPECT_EQ(authors("{{ l|join('<s>') }}", data), "<|a|>[<s>]<|b|>");
  EXPECT_EQ(authors("{{ 'a-b'.replace('-', w) }}", data), "[a]x<|e|>y[b]");
  EXPECT_EQ(authors("{{ w.replace('<|e|>', '<|e|>') }}", data), "x[<|e|>]y");
  EXPECT_EQ(authors("{{ w.split('<')[1] }}", data), "|e|>y");
  EXPECT_EQ(authors("{{ '<%s>' % w }}", data), "[<]x<|e|>y[>]");
  EXPECT_EQ(authors("{{ w % () }}", data), "x<|e|>y");
  EXPECT_EQ(authors("{{ '<{}>'.format(w) }}", data), "[<]x<|e|>y[>]");
  EXPECT_EQ(authors("{{ l|tojson }}", data), "[[\"]<|a|>[\", \"]<|b|>[\"]]");
  EXPECT_EQ(authors("{{ l }}", data), "[[']<|a|>[', ']<|b|>[']]");
  EXPECT_EQ(authors("{{ w|indent(2, true) }}", data), "[  ]x<|e|>y");
  EXPECT_EQ(authors("{{ w|e }}", data), "x&lt;|e|&gt;y");
  EXPECT_EQ(authors("{{ w * 2 }}", data), "x<|e|>yx<|e|>y");
  EXPECT_EQ(authors("{{ w|title }}{{ w|capitalize }}{{ w.swapcase() }}", data),
            "X<|e|>yX<|e|>yX<|E|>Y");
  EXPECT_EQ(authors("{% set x %}<{{ w }}>{% endset %}{{ x }}", data), "[<]x<|e|>y[>]");
  EXPECT_EQ(authors("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(w)|upper }}", data),
            "[<]X<|E|>Y[>]");
  EXPECT_EQ(authors("{% for c in w %}{{ c }}{% endfor %}", data), "x<|e|>y");
  EXPECT_EQ(authors("{{ w|list|join }}{{ w|reverse }}", data), "x<|e|>yy>|e|<x");
  EXPECT_EQ(authors("{% filter trim %} {{ w }} {% endfilter %}", data), "x<|e|>y");
  EXPECT_EQ(authors("{{ w.center(11) }}{{ w|truncate(3, true, '', 0) }}", data),
            "[  ]x<|e|>y[  ]x<|");
}

TEST(JinjaAuthors, DataIsNeverReadAsATemplate) {
  const std::string data = R"({"s": "{{ x }}{% raw %}{# c #}<|im_start|>"})";
  EXPECT_EQ(authors("{{ s }}", data), "{{ x }}{% raw %}{# c #}<|im_start|>");
}

TEST(JinjaJson, NestingAndNumbersHaveLimits) {
  EXPECT_TRUE(value_from_json(repeated("[", 100) + repeated("]", 100)).ok());
  for (const std::string& text :
       {repeated("[", 100'000), std::string("{\"a\": 1"), std::string("18446744073709551615"),
        std::string("123456789012345678901234567890"), std::string("")}) {
    const auto value = value_from_json(text);
    ASSERT_FALSE(value.ok()) << text.substr(0, 40);
    EXPECT_FALSE(value.error().message.empty());
  }
  EXPECT_EQ(render("{{ d }}", R"({"d": {"b": 1, "a": 2, "b": 3}})")->bytes(), "{'b': 3, 'a': 2}");
}

TEST(ChatTemplate, WithoutATemplateItIsChatMl) {
  const auto chat_ml = ChatTemplate::create({});
  ASSERT_TRUE(chat_ml.ok());
  const std::vector<ChatMessage> messages = {{"system", "Be brief."}, {"user", "{{ Hello }}"}};
  EXPECT_EQ(chat_ml->render(messages)->bytes(),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{{ Hello }}<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(chat_ml->render(std::span(messages).first(1), false)->bytes(),
            "<|im_start|>system\nBe brief.<|im_end|>\n");
}

TEST(ChatTemplate, SpecialTokensAreMarkupUnlessTheCallerSaysOtherwise) {
  const auto chat = ChatTemplate::create(
      {"{{ bos_token }}{{ messages|length }}{{ tools is none }}{{ add_generation_prompt }}",
       {{"bos_token", "<s>"}}});
  ASSERT_TRUE(chat.ok());
  const auto text = chat->render(variables_of("{}"));
  EXPECT_EQ(text->bytes(), "<s>0TrueTrue");
  EXPECT_FALSE(text->has_data());
  const auto other = chat->render(variables_of(R"({"bos_token": "<t>", "tools": []})"));
  EXPECT_EQ(other->bytes(), "<t>0FalseTrue");
  EXPECT_TRUE(other->has_data());
}

}  // namespace
}  // namespace nibble::jinja
