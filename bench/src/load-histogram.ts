import { CURVE, type Percentiles } from "./load-task.js";

/** Sub-buckets per power of two: a figure is off by less than 1 %. */
const SUB_BITS = 8;
const SUB_COUNT = 1 << SUB_BITS;
/** Up to 2^31 µs, over half an hour. */
const BUCKETS = (32 - SUB_BITS) * SUB_COUNT;

/** Times in buckets that grow with the time, as HDR histograms have them: bounded memory, no figure lost. */
export class Histogram {
  private readonly counts = new Float64Array(BUCKETS);
  private count = 0;
  private maxMs = 0;

  recordMs(ms: number): void {
    const micros = Math.min(Math.max(0, Math.round(ms * 1000)), 2 ** 31 - 1);
    const at = bucketOf(micros);
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.count++;
    if (ms > this.maxMs) this.maxMs = ms;
  }

  percentiles(): Percentiles {
    return {
      count: this.count,
      p50: this.quantileMs(0.5),
      p99: this.quantileMs(0.99),
      p999: this.quantileMs(0.999),
      max: this.maxMs,
      curve: CURVE.map((quantile) => this.quantileMs(quantile)),
    };
  }

  private quantileMs(quantile: number): number {
    let left = Math.ceil(this.count * quantile);
    for (let at = 0; at < BUCKETS; at++) {
      left -= this.counts[at] ?? 0;
      if (left <= 0) return Math.min(this.maxMs, (topOf(at) + 1) / 1000);
    }
    return this.maxMs;
  }
}

/** Values below two rounds of sub-buckets have one each; after that every power of two is cut into half as many. */
function bucketOf(micros: number): number {
  if (micros < SUB_COUNT) return micros;
  const shift = 31 - Math.clz32(micros) - (SUB_BITS - 1);
  return shift * (SUB_COUNT >> 1) + (micros >> shift);
}

/** The largest value of a bucket. */
function topOf(bucket: number): number {
  if (bucket < SUB_COUNT) return bucket;
  const half = SUB_COUNT >> 1;
  const shift = Math.floor((bucket - half) / half);
  const mantissa = bucket - shift * half;
  return (mantissa + 1) * 2 ** shift - 1;
}
