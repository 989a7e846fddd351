// Random operations on stores, built by the reference's driver: see run.sh.
import { createRequire } from "node:module";

const [dir, count, seed] = process.argv.slice(2);
const driver = createRequire(dir + "/")("@dignetwork/datalayer-driver");

// Marsaglia's generator: 13, 7, 17.
let state = BigInt(seed) * 0x9e3779b97f4a7c15n & 0xffffffffffffffffn || 1n;
function next() {
  state ^= state << 13n & 0xffffffffffffffffn;
  state ^= state >> 7n;
  state ^= state << 17n & 0xffffffffffffffffn;
  return state;
}
const below = (n) => Number(next() >> 11n) % n;
const chance = (percent) => below(100) < percent;
const bytes = (n) => Buffer.from(Array.from({ length: n }, () => below(256)));
const pick = (list) => list[below(list.length)];
const hex = (b) => Buffer.from(b).toString("hex");

function key() {
  const secret = bytes(32);
  secret[0] &= 0x3f; // below the order of the group
  const synthetic = driver.masterSecretKeyToWalletSyntheticSecretKey(secret);
  const pk = driver.secretKeyToPublicKey(synthetic);
  return { secret: synthetic, pk, ph: driver.syntheticKeyToPuzzleHash(pk) };
}
const keyJSON = (k) => ({ secret_key: hex(k.secret), public_key: hex(k.pk) });

const words = ["", "a", "label", "grüße", "日本語", "x".repeat(63), "y".repeat(64), "z".repeat(300), "\u0000", "🙂"];
const sizes = [0n, 1n, 127n, 128n, 255n, 256n, 32767n, 32768n, 1n << 31n, 1n << 32n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n];
function metadata() {
  return {
    root: chance(10) ? Buffer.alloc(32) : bytes(32),
    label: chance(50) ? pick(words) : null,
    description: chance(40) ? pick(words) : null,
    bytes: chance(50) ? pick(sizes) : null,
  };
}
const metadataArgs = (m) => ({ root_hash: hex(m.root), label: m.label, description: m.description, bytes: m.bytes });

function delegates() {
  const list = [];
  for (let i = below(7); i > 0; i--) {
    const k = chance(15) && list.length ? pick(list).k : key();
    switch (below(5)) {
      case 0: case 1:
        list.push({ role: "admin", k, puzzle: driver.adminDelegatedPuzzleFromKey(k.pk) });
        break;
      case 2: case 3:
        list.push({ role: "writer", k, puzzle: driver.writerDelegatedPuzzleFromKey(k.pk) });
        break;
      default:
        list.push({ role: "oracle", k, puzzle: driver.oracleDelegatedPuzzle(k.ph, BigInt(2 * (1 + below(1000000)))) });
    }
  }
  return list;
}

const coinJSON = (c) => ({ parent_coin_info: hex(c.parentCoinInfo), puzzle_hash: hex(c.puzzleHash), amount: c.amount });
const spendJSON = (s) => ({ coin: coinJSON(s.coin), puzzle_reveal: hex(s.puzzleReveal), solution: hex(s.solution) });

function delegateJSON(d) {
  if (d.adminInnerPuzzleHash) return { type: "admin", inner_puzzle_hash: hex(d.adminInnerPuzzleHash) };
  if (d.writerInnerPuzzleHash) return { type: "writer", inner_puzzle_hash: hex(d.writerInnerPuzzleHash) };
  return { type: "oracle", payment_puzzle_hash: hex(d.oraclePaymentPuzzleHash), fee: d.oracleFee };
}

function storeJSON(store) {
  const m = store.metadata, p = store.proof.lineageProof ?? store.proof.eveProof;
  return {
    launcher_id: hex(store.launcherId),
    coin: coinJSON(store.coin),
    coin_id: hex(driver.getCoinId(store.coin)),
    lineage_proof: {
      parent_parent_coin_info: hex(p.parentParentCoinInfo), parent_amount: p.parentAmount,
      ...(p.parentInnerPuzzleHash ? { parent_inner_puzzle_hash: hex(p.parentInnerPuzzleHash) } : {}),
    },
    metadata: { root_hash: hex(m.rootHash), label: m.label ?? null, description: m.description ?? null, bytes: m.bytes ?? null },
    owner_puzzle_hash: hex(store.ownerPuzzleHash),
    delegated_puzzles: store.delegatedPuzzles.map(delegateJSON),
  };
}

// Amounts are up to 64 bits: they are put into the JSON as numbers by hand.
const print = (v) => JSON.stringify(v, (_, x) => (typeof x === "bigint" ? `#${x}#` : x)).replace(/"#(\d+)#"/g, "$1");

// Coins of a key that have at least that sum.
function coins(k, least) {
  const list = [];
  for (let i = below(4); i > 0; i--) list.push({ parentCoinInfo: bytes(32), puzzleHash: k.ph, amount: pick(sizes.slice(0, 10)) });
  const last = BigInt(least) + (chance(30) ? 0n : pick(sizes.slice(0, 10)));
  list.splice(below(list.length + 1), 0, { parentCoinInfo: bytes(32), puzzleHash: k.ph, amount: last });
  return list;
}

let lines = "";

function emit(name, op, args, keys, given, spends, store, along = []) {
  const secrets = Object.values(keys).map((k) => k.secret);
  const testnet = chance(50);
  const signature = driver.signCoinSpends([...along, ...spends], secrets, testnet);
  lines += print({
    name, network: testnet ? "testnet11" : "mainnet",
    keys: Object.fromEntries(Object.entries(keys).map(([n, k]) => [n, keyJSON(k)])),
    given: { coins: (given.coins ?? []).map(coinJSON), store: given.store ? storeJSON(given.store) : null, along: along.map(spendJSON) },
    op, args,
    expect: { coin_spends: spends.map(spendJSON), aggregated_signature: hex(signature), store: store ? storeJSON(store) : null },
  }) + "\n";
}

// A fee beside the spends, by coins of another key.
function fee(name, along, keys) {
  const payer = key(), amount = 1 + below(100000);
  const cs = coins(payer, amount);
  const ids = along.map((s) => driver.getCoinId(s.coin));
  const spends = driver.addFee(payer.pk, cs, ids, BigInt(amount));
  emit(name + ": fee", "fee", { key: "payer", fee: amount, assert_coin_ids: ids.map(hex) }, { ...keys, payer }, { coins: cs }, spends, null, along);
}

function send(name) {
  const payer = key(), amount = below(1000);
  const outputs = Array.from({ length: 1 + below(3) }, () => {
    const to = bytes(32);
    return { puzzleHash: to, amount: pick(sizes.slice(1, 10)), memos: pick([[], [to], [to, Buffer.from("hi")], [bytes(32)]]) };
  });
  const cs = coins(payer, outputs.reduce((sum, o) => sum + o.amount, BigInt(amount)));
  const spends = driver.sendXch(payer.pk, cs, outputs, BigInt(amount));
  emit(name + ": send", "send", {
    key: "payer", fee: amount,
    outputs: outputs.map((o) => ({ puzzle_hash: hex(o.puzzleHash), amount: o.amount, memos: o.memos.map(hex) })),
  }, { payer }, { coins: cs }, spends, null);
}

function select(name) {
  const k = key();
  const list = Array.from({ length: 1 + below(20) }, () => ({ parentCoinInfo: bytes(32), puzzleHash: k.ph, amount: BigInt(1 + below(1000)) }));
  const total = list.reduce((sum, c) => sum + c.amount, 0n);
  const amount = 1n + BigInt(below(Number(total)));
  const chosen = driver.selectCoins(list, amount).map((c) => list.findIndex((l) => hex(l.parentCoinInfo) === hex(c.parentCoinInfo)));
  lines += print({ name: name + ": select", op: "select", given: { coins: list.map(coinJSON) }, args: { amount }, expect: { chosen } }) + "\n";
}

function sequence(number) {
  const name = `sequence ${number} of seed ${seed}`;
  let owner = key();
  let set = chance(60) ? delegates() : [];
  let m = metadata();
  const amount = below(1000), cs = coins(owner, amount + 1);
  const heir = chance(30) ? key() : owner;
  const made = driver.mintStore(owner.pk, cs, m.root, m.label, m.description, m.bytes, heir.ph, set.map((d) => d.puzzle), BigInt(amount));
  emit(name + ": mint", "mint", {
    minter: "minter", form: "driver", ...metadataArgs(m), owner_puzzle_hash: hex(heir.ph),
    delegated_puzzles: set.map((d) => delegateJSON(d.puzzle)), fee: amount,
  }, { minter: owner }, { coins: cs }, made.coinSpends, made.newStore);
  owner = heir;
  select(name);
  send(name);
  let store = made.newStore;
  for (let left = 1 + below(10); left > 0; left--) {
    const admins = set.filter((d) => d.role === "admin");
    const writers = set.filter((d) => d.role === "writer");
    const can = ["update:owner", "update:owner", "ownership:owner", "ownership:owner"];
    if (admins.length) can.push("update:admin", "ownership:admin");
    if (writers.length) can.push("update:writer", "update:writer");
    if (set.some((d) => d.role === "oracle")) can.push("oracle"); // the driver spends the first one
    if (chance(5)) can.splice(0, can.length, "melt");
    const [op, by] = pick(can).split(":");
    const actor = { owner, admin: admins.length && pick(admins).k, writer: writers.length && pick(writers).k }[by];
    const pks = ["owner", "admin", "writer"].map((r) => (r === by ? actor.pk : null));
    let spends, keys = { actor }, result;
    if (op === "update") {
      m = metadata();
      result = driver.updateStoreMetadata(store, m.root, m.label, m.description, m.bytes, ...pks);
      emit(`${name}: ${op} by ${by}`, "update_metadata", { by, key: "actor", ...metadataArgs(m) }, keys, { store }, result.coinSpends, result.newStore);
    } else if (op === "ownership") {
      const heir = by === "owner" && chance(50) ? key() : owner;
      do set = chance(70) ? delegates() : []; while (by === "admin" && !set.length);
      result = driver.updateStoreOwnership(store, heir.ph, set.map((d) => d.puzzle), pks[0], pks[1]);
      emit(`${name}: ${op} by ${by}`, "update_ownership", {
        by, key: "actor", new_owner_puzzle_hash: hex(heir.ph), delegated_puzzles: set.map((d) => delegateJSON(d.puzzle)),
      }, keys, { store }, result.coinSpends, result.newStore);
      owner = heir;
    } else if (op === "oracle") {
      const user = key(), amount = below(1000);
      const cs = coins(user, amount + Number(set.find((d) => d.role === "oracle").puzzle.oracleFee));
      keys = { user };
      result = driver.oracleSpend(user.pk, cs, store, BigInt(amount));
      emit(name + ": oracle", "oracle", { key: "user", fee: amount }, keys, { coins: cs, store }, result.coinSpends, result.newStore);
    } else {
      keys = { actor: owner };
      spends = driver.meltStore(store, owner.pk);
      emit(name + ": melt", "melt", { by: "owner", key: "actor" }, keys, { store }, spends, null);
      left = 0;
    }
    if (chance(40)) fee(name, spends ?? result.coinSpends, keys);
    store = result?.newStore;
  }
}

for (let i = 0; i < Number(count); i++) {
  sequence(i);
  await new Promise((done) => process.stdout.write(lines, done));
  lines = "";
}
