/** What went wrong, until it was seen. */
export function Trouble({
  error,
  clear,
}: {
  readonly error: Error | undefined;
  readonly clear: () => void;
}): React.ReactNode {
  if (error === undefined) return null;
  return (
    <p className="trouble" role="alert">
      {error.message} <button onClick={clear}>All right</button>
    </p>
  );
}
