import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareViews, Views } from "@daybook/views";
import { DiskFiles } from "./disk-files.js";
import { lockFolder } from "./folder-lock.js";
import { segmentName } from "./frame-format.js";
import { LogTable } from "./log-table.js";
import { LostPayloads, WHY_LOST } from "./lost-payloads.js";
import { logFolder, viewsFolder } from "./open-engine.js";
import { bringForward } from "./recover.js";
import { StoreRefused } from "./refusals.js";
import type { ScanEnd } from "./scan-segment.js";
import { Segments } from "./segments.js";
import { ENGINE_DEFAULTS } from "./settings.js";

export interface Problem {
  readonly file: string;
  readonly offset: number;
  readonly why: string;
}

export interface CheckReport {
  segments: number;
  batches: number;
  frames: number;
  events: number;
  sessions: number;
  erasedSessions: number;
  viewRecords: number;
  bytes: number;
  /** Bytes at the end of a batch that was never acknowledged; the next start cuts them off. */
  tornBytes: number;
  problems: Problem[];
}

/**
 * Verifies a data folder without changing it: every frame of the log, then every record of the views against views
 * that are made anew from the log.
 * @throws StoreRefused when the folder is in use or holds no log.
 */
export async function checkFolder(
  dataDir: string,
  onProgress: (bytes: number) => void = () => undefined,
): Promise<CheckReport> {
  const lock = lockFolder(dataDir);
  const report = emptyReport();
  try {
    const segments = await Segments.open(new DiskFiles(logFolder(dataDir)), "read");
    try {
      await checkLog(segments, report, onProgress);
      if (report.problems.length === 0) await checkViews(segments, viewsFolder(dataDir), report);
    } finally {
      await segments.close();
    }
  } catch (error) {
    if (!(error instanceof StoreRefused) || error.code !== "damaged") throw error;
    report.problems.push({ file: "log", offset: 0, why: error.message });
  } finally {
    lock.release();
  }
  return report;
}

async function checkLog(
  segments: Segments,
  report: CheckReport,
  onProgress: (bytes: number) => void,
): Promise<void> {
  const lost = new LostPayloads();
  for (let segment = 1; segment <= segments.count; segment++) {
    report.segments++;
    const scan = await segments.scan(segment);
    for (;;) {
      const found = await scan.next();
      if ("kind" in found) {
        await judgeEnd(segments, segment, found, report);
        break;
      }
      lost.see(found);
      report.batches++;
      report.frames += found.frames.length;
      report.bytes += found.end - found.offset;
      for (const { header } of found.frames) report.events += header.count;
      onProgress(report.bytes);
    }
  }
  const { first } = lost;
  if (first !== undefined)
    report.problems.unshift({ file: segmentName(first.segment), offset: first.offset, why: WHY_LOST });
}

async function judgeEnd(
  segments: Segments,
  segment: number,
  end: ScanEnd,
  report: CheckReport,
): Promise<void> {
  if (end.kind === "end") return;
  if (segment === segments.count && !end.batchAfter) {
    report.tornBytes = (await segments.size(segment)) - end.offset;
    return;
  }
  report.problems.push({ file: segmentName(segment), offset: end.offset, why: end.why });
}

/** Both on copies: a check changes nothing. */
async function checkViews(segments: Segments, folder: string, report: CheckReport): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "daybook-check-"));
  try {
    const anew = await Views.open(join(work, "anew"), segments.storeId);
    await bringForward(segments, anew, new LogTable(anew, ENGINE_DEFAULTS.idleLogsMax));
    const { sessions, erased } = anew.countSessions();
    report.sessions = sessions;
    report.erasedSessions = erased;
    await cp(folder, join(work, "copy"), { recursive: true }).catch(() => undefined);
    const copy = await Views.open(join(work, "copy"), segments.storeId);
    // Views that stand past the log's end prove that it lost its tail: this says so.
    await bringForward(segments, copy, new LogTable(copy, ENGINE_DEFAULTS.idleLogsMax));
    const { records, differences } = compareViews(anew, copy);
    report.viewRecords = records;
    for (const why of differences) report.problems.push({ file: "views", offset: 0, why });
    await anew.close();
    await copy.close();
  } catch (error) {
    // A log that breaks its own rules makes the fold throw: that, too, is something found.
    report.problems.push({
      file: "views",
      offset: 0,
      why: error instanceof Error ? error.message : String(error),
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function emptyReport(): CheckReport {
  return {
    segments: 0,
    batches: 0,
    frames: 0,
    events: 0,
    sessions: 0,
    erasedSessions: 0,
    viewRecords: 0,
    bytes: 0,
    tornBytes: 0,
    problems: [],
  };
}
