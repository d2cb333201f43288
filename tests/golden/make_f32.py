#!/usr/bin/env python3
"""Writes a GGUF file again with every tensor dequantized to F32 and the metadata unchanged.

    make_f32.py IN.gguf OUT.gguf

Needs the PyPI package `gguf` (0.19.0 made the golden files), whose dequantization is independent
of this project's.
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, dequantize


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    reader = GGUFReader(sys.argv[1])
    architecture = reader.fields["general.architecture"].contents()
    writer = GGUFWriter(sys.argv[2], arch=architecture, endianess=reader.endianess)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == GGUFValueType.ARRAY else None
        value = 0 if name == "general.file_type" else field.contents()  # 0: all F32
        writer.add_key_value(name, value, kind, sub_type=element)
    for tensor in reader.tensors:
        floats = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        shape = tuple(int(n) for n in reversed(tensor.shape))
        writer.add_tensor(tensor.name, floats.reshape(shape),
                          raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
