// Golden token ids from an engine that is not ours.
//
//   node make_token_golden.mjs MODEL.gguf OUT.json        (npm package node-llama-cpp)
//
// OUT.json: an array, one object per line: {"text": the text, "plain": ids with special tokens left
// as text, "special": ids with special tokens recognised}; no BOS or EOS added.
import {writeFileSync} from "node:fs";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const cases = [
  // English
  "", "a", " ", "Hello", " Hello", "Hello world", "Hello, world!", "HELLO WORLD", "hElLo wOrLd",
  "The quick brown fox jumps over the lazy dog.",
  "I'm sure they'd say we've done what you'll see; it's theirs, isn't it?",
  "I'M SURE THEY'D SAY WE'VE DONE", "'s 't 're 've 'm 'll 'd 'x", "don’t “quote” me – or — do…",
  "Dr. Müller's naïve café façade, coöperating", "state-of-the-art e-mail/web/api_v2",
  "supercalifragilisticexpialidocious antidisestablishmentarianism",
  "http://www.example.com/path?query=1&other=two#fragment", "user.name+tag@example.org",
  // numbers
  "0", "7", "42", "123", "1234567890", "3.14159265", "1,000,000.00", "-1 +2 *3 /4", "0x1F600 1e-10",
  "2026-11-23T12:34:56Z", "١٢٣ ४५६ ⅣⅫ ²³ ½ 五", "abc123def456", "v1.2.3-rc.4",
  // spaces and newlines
  "  ", "   ", "        ", " a", "  a", "   a", "a  b", "a   b    c     d", "a ", "a  ", "a    ",
  "\n", "\n\n", "\n\n\n\n", "\r\n", "\r\n\r\n", "\t", "\t\t", "\t\ta", "a\nb", "a \n b", "a\n \nb",
  "\n a", " \n", "\n \n \n", "\u00a0", "a\u00a0b\u2003c\u3000d\u2028e", "\u000b\u000c", "\u0085x",
  "a\u180eb", "\u200b\u200d\ufeff", "tabs\tand  spaces \t mixed\n\n  end  ",
  // code
  "def add(a, b):\n    return a + b\n", "for (int i = 0; i < n; ++i) {\n\tsum += x[i];\n}\n",
  "#include <vector>\nstd::vector<int> v{1, 2, 3};", "if(x==1&&y!=2||!z){}", "SELECT * FROM t WHERE id=42;",
  "<div class=\"a\">&nbsp;</div>", "{\"key\": [1, 2.5, null, true]}", "$ ls -la | grep '^d' > out.txt 2>&1",
  "\\frac{a}{b} \\sum_{i=0}^{n} x_i", "```python\nprint('hi')\n```", "camelCase PascalCase snake_case SCREAMING_CASE",
  "=== --- *** ### !!! ??? ...", "()[]{}<>", "!@#$%^&*()_+-=`~",
  // emoji and other planes
  "😀", "😀😀😀", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "a😀b", " 🎉 party", "𝕳𝖊𝖑𝖑𝖔 𝒲𝑜𝓇𝓁𝒹", "𓀀𓂀", "☃☂★",
  // scripts
  "你好,世界。", "今日はいい天気ですね。", "안녕하세요 세계", "Привет, мир! Как дела?", "Γειά σου Κόσμε",
  "مرحبا بالعالم، كيف حالك؟", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Xin chào thế giới", "İstanbul ığüşöç",
  "日本語とEnglishの混在テキスト123", "ა ბ გ დ", "ሰላም", "ខ្មែរ",
  // combining marks and odd characters
  "e\u0301 vs \u00e9", "a\u0300\u0301\u0302\u0303", "\u0301", "Z\u0335\u0321a\u0336l\u0337g\u0338o",
  "\ufffd", "\uffff", "\u{10ffff}", "\u0000", "a\u0000b", "\u0001\u0002\u0003\u0004\u0005\u0006", "\u001b[31mred\u001b[0m",
  // special tokens spelled in text
  "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n",
  "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
  "a<|im_end|>b", " <|im_end|> ", "<|im_end|><|im_end|>", "<|im_end|", "<|im_<|im_start|>", "<<|im_end|>>",
  "<repo_name>x<file_sep>y<filename>z<gh_stars>1", "<reponame><repo_name>", "<|IM_END|>", "<s></s><unk>",
  "<issue_start><issue_comment><issue_closed><jupyter_start><jupyter_text><jupyter_code><jupyter_output>",
  "<jupyter_script><empty_output>",
  // long and repeated
  "a".repeat(100), " ".repeat(100), "ab".repeat(64), "\n".repeat(50), "1".repeat(40), "the ".repeat(40), "=".repeat(80),
  "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua.",
];

const [modelPath, outPath] = process.argv.slice(2);
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath, vocabOnly: true});
const ids = (text, special) => Array.from(model.tokenize(text, special));
const lines = cases.map((text) =>
  JSON.stringify({text, plain: ids(text, false), special: ids(text, true)}));
writeFileSync(outPath, "[\n" + lines.join(",\n") + "\n]\n");
console.log(`${lines.length} cases`);
process.exit(0);
