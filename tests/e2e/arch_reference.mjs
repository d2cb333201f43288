// llama.cpp's logits behind a prompt of token ids, for several models.
//
//   node arch_reference.mjs PACKAGES REQUEST.json > ANSWER.json
//
// PACKAGES: the folder `node_modules` that holds node-llama-cpp (scripts/setup_interop).
// REQUEST.json: [{"model": path, "tokens": [ids], "vocab_size": N, "is_encoder": bool}]
// ANSWER.json: per model {"logits": [N numbers] behind the last token, or the pooled vector of an
// encoder} or {"error": text}
//
// CPU, keys and values in float32, no flash attention.
import {readFileSync} from "node:fs";
import {join} from "node:path";
import {pathToFileURL} from "node:url";

const [packages, requestPath] = process.argv.slice(2);
const {getLlama, LlamaLogLevel} =
  await import(pathToFileURL(join(packages, "node-llama-cpp/dist/index.js")).href);
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error,
  maxThreads: 1});

async function logitsOf({model: modelPath, tokens, vocab_size: size, is_encoder: isEncoder}) {
  const model = await llama.loadModel({modelPath, gpuLayers: 0});
  if (isEncoder) {
    const context = await model.createEmbeddingContext({contextSize: 256, threads: 1});
    const {vector} = await context.getEmbeddingFor(tokens.slice(0, 64));
    return {logits: [...vector]};
  }
  const context = await model.createContext({contextSize: 256, batchSize: 256, threads: 1,
    flashAttention: false, swaFullCache: true,
    experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"});
  const sequence = context.getSequence();
  const ids = Array.from({length: size}, (_, i) => i);
  const last = tokens.length - 1;
  const outputs = await sequence.controlledEvaluate(tokens.map((token, i) => i === last
    ? [token, {generateNext: {logits: {filter: {tokens: ids}}}}] : token));
  const found = outputs[last].next.logits;
  await context.dispose();
  await model.dispose();
  return {logits: ids.map(id => found.get(id))};
}

const answer = [];
for (const request of JSON.parse(readFileSync(requestPath, "utf8"))) {
  try {
    answer.push(await logitsOf(request));
  } catch (error) {
    answer.push({error: String(error)});
  }
}
process.stdout.write(JSON.stringify(answer), () => process.exit(0));
