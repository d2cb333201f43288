"""llama.cpp's own quantizer, without its command-line program: it reads a GGUF file with its own
code, changes the types of the tensors and writes another.

    python3 llama_quantize.py FOLDER IN.gguf OUT.gguf TYPE [keep-split]

FOLDER holds libllama.v0.5.0.so, as scripts/setup_interop installs it; the structure below is that
of this version.
"""

import ctypes
import sys

# Names that llama-quantize accepts, with their numbers (llama_ftype), as far as every type is one
# that can be written without an importance matrix, and Q2_K_S.
FILE_TYPES = {
    "F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q6_K": 18, "Q5_K_M": 17, "Q5_K_S": 16, "Q5_1": 9,
    "Q5_0": 8, "Q4_K_M": 15, "Q4_K_S": 14, "Q4_1": 3, "Q4_0": 2, "IQ4_NL": 25, "IQ4_XS": 30,
    "Q3_K_L": 13, "Q3_K_M": 12, "Q3_K_S": 11, "Q2_K": 10, "Q2_K_S": 21, "TQ2_0": 37, "TQ1_0": 36,
    "MXFP4_MOE": 38, "COPY": 0,
}


class Parameters(ctypes.Structure):
    _fields_ = [
        ("n_threads", ctypes.c_int32), ("file_type", ctypes.c_int),
        ("output_tensor_type", ctypes.c_int), ("token_embedding_type", ctypes.c_int),
        ("allow_requantize", ctypes.c_bool), ("quantize_output_tensor", ctypes.c_bool),
        ("only_copy", ctypes.c_bool), ("pure", ctypes.c_bool),
        ("keep_split", ctypes.c_bool), ("dry_run", ctypes.c_bool),
        ("imatrix", ctypes.c_void_p), ("kv_overrides", ctypes.c_void_p),
        ("tensor_overrides", ctypes.c_void_p), ("prune_layers", ctypes.c_void_p),
        ("max_buffer_bytes", ctypes.c_size_t),
    ]


def load_library(folder):
    library = ctypes.CDLL(f"{folder}/libllama.v0.5.0.so")
    library.llama_model_quantize_default_params.restype = Parameters
    library.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p,
                                             ctypes.POINTER(Parameters)]
    library.llama_model_quantize.restype = ctypes.c_uint32
    return library


def main(folder, source, target, to, split=""):
    library = load_library(folder)
    parameters = library.llama_model_quantize_default_params()
    parameters.n_threads = 2
    parameters.file_type = FILE_TYPES[to]
    parameters.allow_requantize = True
    parameters.keep_split = split == "keep-split"
    return library.llama_model_quantize(source.encode(), target.encode(),
                                        ctypes.byref(parameters))


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
