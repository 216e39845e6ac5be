import type { TailStatus } from "@daybook/client";

const SAID: Readonly<Record<TailStatus, { readonly text: string; readonly kind: "live" | "wait" | "off" }>> =
  {
    idle: { text: "Connecting", kind: "wait" },
    connecting: { text: "Connecting", kind: "wait" },
    replaying: { text: "Catching up", kind: "wait" },
    live: { text: "Live", kind: "live" },
    offline: { text: "Offline", kind: "off" },
    ended: { text: "Ended", kind: "off" },
    closed: { text: "Closed", kind: "off" },
  };

/** Whether what is shown is what there is. */
export function Connection({ status }: { readonly status: TailStatus }): React.ReactNode {
  const { text, kind } = SAID[status];
  return (
    <p className="connection" data-kind={kind} data-status={status} role="status">
      {text}
    </p>
  );
}

export function OfflineNote({ status }: { readonly status: TailStatus }): React.ReactNode {
  if (status !== "offline") return null;
  return (
    <p className="offline-note">
      There is no connection. What you write is kept here, and sent as soon as there is one.
    </p>
  );
}
