#include "quantize/overrides.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

TEST(TensorTypeRule, MatchesAnywhereInAnyCase) {
  const auto rule = TensorTypeRule::parse("attn_(q|k)=q8_0");
  ASSERT_TRUE(rule.ok()) << rule.error().message;
  EXPECT_EQ(rule->format().id, FormatId::Q8_0);
  EXPECT_EQ(rule->text(), "attn_(q|k)=q8_0");
  EXPECT_TRUE(rule->matches("blk.0.attn_q.weight"));
  EXPECT_TRUE(rule->matches("blk.0.ATTN_K.weight"));
  EXPECT_FALSE(rule->matches("blk.0.attn_v.weight"));
}

TEST(TensorTypeRule, AnExpressionMayHoldAnEqualsSign) {
  const auto rule = TensorTypeRule::parse("blk\\.(?=1\\d\\.)=F16");
  ASSERT_TRUE(rule.ok()) << rule.error().message;
  EXPECT_TRUE(rule->matches("blk.12.ffn_up.weight"));
  EXPECT_FALSE(rule->matches("blk.1.ffn_up.weight"));
}

TEST(TensorTypeRule, WhatCannotBe) {
  const std::pair<const char*, const char*> cases[] = {
      {"attn_q", "REGEX=TYPE"},
      {"=Q8_0", "REGEX=TYPE"},
      {"attn_q=", "is no type"},
      {"attn_q=Q9_9", "'Q9_9' is no type"},
      {"attn_q=Q4_K_M", "'Q4_K_M' is no type"},  // a recipe
      {"attn_q=IQ2_XXS", "IQ2_XXS is read but not written"},
      {"attn_q=i32", "I32 is read but not written"},
      {"attn_(q=Q8_0", "not valid at character"},
      {"[=Q8_0", "not valid at character"},
  };
  for (const auto& [text, part] : cases) {
    const auto rule = TensorTypeRule::parse(text);
    ASSERT_FALSE(rule.ok()) << text;
    EXPECT_EQ(rule.error().kind, ErrorKind::kUsage) << text;
    EXPECT_NE(rule.error().message.find(part), std::string::npos) << rule.error().message;
  }
}

// A hostile expression ends; it does not match.
TEST(TensorTypeRule, BacktrackingIsLimited) {
  const auto rule = TensorTypeRule::parse("(a+)+$=Q8_0");
  ASSERT_TRUE(rule.ok());
  EXPECT_FALSE(rule->matches(std::string(60, 'a') + "b"));
}

TEST(Override, EveryType) {
  GgufMetadata metadata;
  metadata.set("a", GgufValue::of_string("old"));
  for (const char* text : {"a=int:7", "b=float:-1.5e3", "c=bool:true", "d=bool:false",
                           "e=str:x=y:z", "f=int:-3", "g=int:4294967295", "h=str:"}) {
    const Status status = apply_override(text, metadata);
    EXPECT_TRUE(status.ok()) << text << status.error().message;
  }
  EXPECT_EQ(metadata.find("a")->type(), GgufType::kUint32);
  EXPECT_EQ(metadata.find("a")->as_uint(), 7u);
  EXPECT_EQ(metadata.find("b")->as_float(), -1500.0);
  EXPECT_EQ(metadata.find("c")->as_bool(), true);
  EXPECT_EQ(metadata.find("d")->as_bool(), false);
  EXPECT_EQ(metadata.find("e")->as_string(), "x=y:z");
  EXPECT_EQ(metadata.find("f")->as_int(), -3);
  EXPECT_EQ(metadata.find("g")->as_uint(), 4294967295u);
  EXPECT_EQ(metadata.find("h")->as_string(), "");
  EXPECT_EQ(metadata.entries().size(), 8u);
}

TEST(Override, WhatCannotBe) {
  GgufMetadata metadata;
  for (const char* text : {"",
                           "a",
                           "a=",
                           "a=7",
                           "=int:7",
                           "a:int=7",
                           "a=int:",
                           "a=int:x",
                           "a=int:7x",
                           "a=int:1.5",
                           "a=int:4294967296",
                           "a=int:-2147483649",
                           "a=float:",
                           "a=float:x",
                           "a=float:nan",
                           "a=float:inf",
                           "a=bool:1",
                           "a=bool:True",
                           "a=i32:7",
                           "split.count=int:3",
                           "general.alignment=int:64",
                           "a=arr:1,2"}) {
    const Status status = apply_override(text, metadata);
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(status.error().kind, ErrorKind::kUsage) << text;
    EXPECT_NE(status.error().message.find("--override-kv"), std::string::npos)
        << status.error().message;
  }
  EXPECT_TRUE(metadata.entries().empty());
}

}  // namespace
}  // namespace nibble
