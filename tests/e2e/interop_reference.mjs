// What llama.cpp says about a GGUF file: it opens it and continues prompts greedily.
//
//   node interop_reference.mjs PACKAGES REQUEST.json > ANSWER.json
//
// PACKAGES: the folder `node_modules` that holds node-llama-cpp (scripts/setup_interop).
// REQUEST.json: {"models": [paths], "prompts": [texts], "n_predict": N, "n_threads": N}
// ANSWER.json: per model an array with, per prompt, {"prompt_ids", "ids", "gaps", "ended"}
//   ids: greedy tokens, at most n_predict; `ended`: the next one would end the text (not in ids)
//   gaps: logit of the most probable minus that of the second, per token, that of the end included
//
// The reference is run as plainly as it can be: CPU, keys and values in float32, no flash attention
// (which would round keys, values and partial sums once more).
import {readFileSync} from "node:fs";
import {join} from "node:path";
import {pathToFileURL} from "node:url";

const [packages, requestPath] = process.argv.slice(2);
const {getLlama, LlamaLogLevel} =
  await import(pathToFileURL(join(packages, "node-llama-cpp/dist/index.js")).href);
const request = JSON.parse(readFileSync(requestPath, "utf8"));

const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error,
  maxThreads: request.n_threads});

async function next(sequence, tokens) {
  const last = tokens.length - 1;
  const wanted = {generateNext: {logits: {filter: {tokens: [], includeTop: 2}}}};
  const outputs = await sequence.controlledEvaluate(
    tokens.map((token, i) => i === last ? [token, wanted] : token));
  const top = [...outputs[last].next.logits].sort((a, b) => b[1] - a[1]);
  return {id: top[0][0], gap: top[0][1] - top[1][1]};
}

async function continueGreedily(model, sequence, prompt) {
  const promptIds = Array.from(model.tokenize(prompt, false));
  if (model.tokens.shouldPrependBosToken) promptIds.unshift(model.tokens.bos);
  const ids = [], gaps = [];
  let feed = promptIds, ended = false;
  while (ids.length < request.n_predict && !ended) {
    const {id, gap} = await next(sequence, feed);
    gaps.push(gap);
    ended = model.isEogToken(id);
    if (!ended) ids.push(id);
    feed = [id];
  }
  return {prompt_ids: promptIds, ids, gaps, ended};
}

const answer = [];
for (const modelPath of request.models) {
  const model = await llama.loadModel({modelPath, gpuLayers: 0});
  // All prompts side by side, so that the weights are read once for all of them.
  const context = await model.createContext({sequences: request.prompts.length, contextSize: 256,
    batchSize: 256, threads: request.n_threads, flashAttention: false,
    experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"});
  const sequences = request.prompts.map(() => context.getSequence());
  answer.push(await Promise.all(request.prompts.map(
    (prompt, i) => continueGreedily(model, sequences[i], prompt))));
  await context.dispose();
  await model.dispose();
}
process.stdout.write(JSON.stringify(answer), () => process.exit(0));
