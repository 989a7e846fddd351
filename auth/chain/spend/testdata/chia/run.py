"""Reads lines of a letter and a bundle in JSON, and answers each with a line: "=", the fee, the cost,
and the number of coins made, or "!" and why consensus refuses it. The letter is s for a bundle whose
signature is checked as well, and c for one whose signature is not."""

import json
import sys
from hashlib import sha256

from chia_rs import (
    ConsensusConstants, SpendBundle, get_conditions_from_spendbundle, get_flags_for_height_and_constants,
    validate_clvm_and_signature, MEMPOOL_MODE,
)

HEIGHT = 9_000_000
MOST = 5_500_000_000
NEVER = 0xFFFFFFFF
challenge = bytes.fromhex(sys.argv[1])

values = {
    "MAX_COIN_AMOUNT": (1 << 64) - 1, "MAX_BLOCK_COST_CLVM": 11_000_000_000, "COST_PER_BYTE": 12_000,
    "GENESIS_CHALLENGE": challenge, "AGG_SIG_ME_ADDITIONAL_DATA": challenge,
    "HARD_FORK_HEIGHT": 5_496_000, "HARD_FORK2_HEIGHT": NEVER, "SOFT_FORK8_HEIGHT": 8_655_000,
    "SOFT_FORK9_HEIGHT": NEVER, "TESTNET": False,
}
for code, name in enumerate(["PARENT", "PUZZLE", "AMOUNT", "PUZZLE_AMOUNT", "PARENT_AMOUNT", "PARENT_PUZZLE"], 43):
    values[f"AGG_SIG_{name}_ADDITIONAL_DATA"] = sha256(challenge + bytes([code])).digest()
names = [n for n in dir(ConsensusConstants) if n.isupper()]
arguments = {}
for n in names:
    if n in values:
        arguments[n] = values[n]
    elif n.endswith(("_CHALLENGE", "_DATA", "_HASH")):
        arguments[n] = bytes(32)
    elif n == "PLOT_FILTER_V2_RELATIVE_HEIGHT":
        arguments[n] = [0] * 9
    else:
        arguments[n] = 0
constants = ConsensusConstants(**arguments)
flags = get_flags_for_height_and_constants(HEIGHT, constants) | MEMPOOL_MODE

for line in sys.stdin:
    kind, text = line.split(" ", 1)
    try:
        bundle = SpendBundle.from_json_dict(json.loads(text))
        if kind == "s":
            conditions = validate_clvm_and_signature(bundle, MOST, constants, flags)[0]
        else:
            conditions = get_conditions_from_spendbundle(bundle, MOST, constants, HEIGHT)
        made = sum(len(s.create_coin) for s in conditions.spends)
        fee = conditions.removal_amount - conditions.addition_amount
        answer = f"= {fee} {conditions.cost} {made}"
    except Exception as error:
        answer = "! " + str(error).replace("\n", " ")
    print(answer, flush=True)
