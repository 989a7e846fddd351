"""Reads lines of a serialised program and its environment in hex, and answers each with a line:
"=" and the serialised value, or "!" and why there is none."""

import sys

from chia_rs import NO_UNKNOWN_OPS, run_chia_program

MOST = 1 << 16  # bytes of a value


def serial(value):
    out = bytearray()
    todo = [value]
    while todo:
        node = todo.pop()
        pair = node.pair
        if pair is not None:
            out.append(0xFF)
            todo += [pair[1], pair[0]]
        else:
            atom = node.atom
            size = len(atom)
            if size == 0:
                out.append(0x80)
            elif size == 1 and atom[0] < 0x80:
                out += atom
            elif size < 1 << 6:
                out.append(0x80 | size)
                out += atom
            elif size < 1 << 13:
                out += bytes([0xC0 | size >> 8, size & 0xFF]) + atom
            else:
                out += bytes([0xE0 | size >> 16, size >> 8 & 0xFF, size & 0xFF]) + atom
        if len(out) > MOST:
            return None
    return out.hex()


for line in sys.stdin:
    program, env = line.split()
    try:
        _, value = run_chia_program(bytes.fromhex(program), bytes.fromhex(env), 11_000_000_000, NO_UNKNOWN_OPS)
        text = serial(value)
        answer = "! too long to tell" if text is None else "= " + text
    except Exception as error:
        answer = "! " + str(error)
    print(answer, flush=True)
