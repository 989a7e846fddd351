// Random operation sequences on stores, built by the reference's driver: see run.sh.
import { createRequire } from "node:module";

const [dir, count, seed] = process.argv.slice(2);
const driver = createRequire(dir + "/")("@dignetwork/datalayer-driver");
const launcher = "eff07522495060c066f66f32acc2a77e3a3e737aca8baea4d1a64ea4cdc13da9";

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
  return { pk, ph: driver.syntheticKeyToPuzzleHash(pk) };
}

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

// A set of delegates, with what is needed to act as one of them.
function delegates() {
  const list = [];
  for (let i = below(7); i > 0; i--) {
    const k = key();
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

const coinJSON = (c) => ({ parent_coin_info: hex(c.parentCoinInfo), puzzle_hash: hex(c.puzzleHash), amount: Number(c.amount) });
const spendJSON = (s) => ({ coin: coinJSON(s.coin), puzzle_reveal: hex(s.puzzleReveal), solution: hex(s.solution) });

function delegateJSON(d) {
  if (d.adminInnerPuzzleHash) return { type: "admin", inner_puzzle_hash: hex(d.adminInnerPuzzleHash) };
  if (d.writerInnerPuzzleHash) return { type: "writer", inner_puzzle_hash: hex(d.writerInnerPuzzleHash) };
  return { type: "oracle", payment_puzzle_hash: hex(d.oraclePaymentPuzzleHash), fee: Number(d.oracleFee) };
}

// bytes is up to 64 bits: it is put into the JSON as a number by hand.
const print = (v) => JSON.stringify(v, (_, x) => (typeof x === "bigint" ? `#${x}#` : x)).replace(/"#(\d+)#"/g, "$1");

function expect(store) {
  const m = store.metadata;
  return {
    coin: coinJSON(store.coin),
    coin_id: hex(driver.getCoinId(store.coin)),
    launcher_id: hex(store.launcherId),
    metadata: { root_hash: hex(m.rootHash), label: m.label ?? null, description: m.description ?? null, bytes: m.bytes ?? null },
    owner_puzzle_hash: hex(store.ownerPuzzleHash),
    delegated_puzzles: store.delegatedPuzzles.map(delegateJSON),
  };
}

const wallet = (k) => [{ parentCoinInfo: bytes(32), puzzleHash: k.ph, amount: 10n ** 12n }];

function sequence(number) {
  let owner = key();
  let set = chance(60) ? delegates() : [];
  let m = metadata();
  const made = driver.mintStore(owner.pk, wallet(owner), m.root, m.label, m.description, m.bytes, owner.ph, set.map((d) => d.puzzle), BigInt(below(1000)));
  const steps = [{
    op: "mint",
    store_spend: spendJSON(made.coinSpends.find((s) => hex(s.coin.puzzleHash) === launcher)),
    expect: expect(made.newStore),
  }];
  let store = made.newStore;
  for (let left = 1 + below(10); left > 0; left--) {
    const id = hex(driver.getCoinId(store.coin));
    const admins = set.filter((d) => d.role === "admin");
    const writers = set.filter((d) => d.role === "writer");
    const can = ["update_metadata:owner", "update_metadata:owner", "update_ownership:owner", "update_ownership:owner"];
    if (admins.length) can.push("update_metadata:admin", "update_ownership:admin");
    if (writers.length) can.push("update_metadata:writer", "update_metadata:writer");
    // The driver spends the first oracle of a store only.
    if (set.some((d) => d.role === "oracle")) can.push("oracle");
    if (chance(5)) can.splice(0, can.length, "melt");
    const op = pick(can);
    let result;
    m = metadata();
    switch (op) {
      case "update_metadata:owner":
        result = driver.updateStoreMetadata(store, m.root, m.label, m.description, m.bytes, owner.pk, null, null);
        break;
      case "update_metadata:admin":
        result = driver.updateStoreMetadata(store, m.root, m.label, m.description, m.bytes, null, pick(admins).k.pk, null);
        break;
      case "update_metadata:writer":
        result = driver.updateStoreMetadata(store, m.root, m.label, m.description, m.bytes, null, null, pick(writers).k.pk);
        break;
      case "update_ownership:owner": {
        const heir = chance(50) ? key() : owner;
        const old = owner;
        set = chance(70) ? delegates() : [];
        result = driver.updateStoreOwnership(store, heir.ph, set.map((d) => d.puzzle), old.pk, null);
        owner = heir;
        break;
      }
      case "update_ownership:admin":
        do set = delegates(); while (!set.length && left > 1);
        result = driver.updateStoreOwnership(store, null, set.map((d) => d.puzzle), null, pick(admins).k.pk);
        break;
      case "oracle": {
        const k = key();
        result = driver.oracleSpend(k.pk, wallet(k), store, BigInt(below(1000)));
        break;
      }
      case "melt": {
        const spends = driver.meltStore(store, owner.pk);
        steps.push({ op, store_spend: spendJSON(spends.find((s) => hex(driver.getCoinId(s.coin)) === id)), expect: { melted: true } });
        left = 0;
        continue;
      }
    }
    steps.push({ op, store_spend: spendJSON(result.coinSpends.find((s) => hex(driver.getCoinId(s.coin)) === id)), expect: expect(result.newStore) });
    store = result.newStore;
  }
  return { name: `sequence ${number} of seed ${seed}`, steps, launcher_id: hex(made.newStore.launcherId) };
}

for (let i = 0; i < Number(count); i++) process.stdout.write(print(sequence(i)) + "\n");
