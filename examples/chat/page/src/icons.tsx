/** Drawn here: no set of icons is loaded for nine of them. */
function Icon({ d, filled = false }: { readonly d: string; readonly filled?: boolean }): React.ReactNode {
  return (
    <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      <path
        d={d}
        fill={filled ? "currentColor" : "none"}
        stroke={filled ? "none" : "currentColor"}
        strokeWidth="1.6"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}

export const MenuIcon = (): React.ReactNode => <Icon d="M3.5 6h13M3.5 10h13M3.5 14h8" />;
export const PlusIcon = (): React.ReactNode => <Icon d="M10 4.5v11M4.5 10h11" />;
export const CloseIcon = (): React.ReactNode => <Icon d="M5.5 5.5l9 9M14.5 5.5l-9 9" />;
export const SendIcon = (): React.ReactNode => <Icon d="M10 15.5v-11M5 9.5l5-5 5 5" />;
export const StopIcon = (): React.ReactNode => (
  <Icon
    filled
    d="M6.5 5h7A1.5 1.5 0 0 1 15 6.5v7a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 5 13.5v-7A1.5 1.5 0 0 1 6.5 5z"
  />
);
export const AgainIcon = (): React.ReactNode => (
  <Icon d="M15.8 11.5a6 6 0 1 1-1.2-5.3L16 7.7M16 3.8v3.9h-3.9" />
);
export const DownIcon = (): React.ReactNode => <Icon d="M10 4.5v11M5 10.5l5 5 5-5" />;
export const ClockIcon = (): React.ReactNode => (
  <Icon d="M10 3.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM10 6.5V10l2.4 1.6" />
);
export const ChevronIcon = (): React.ReactNode => <Icon d="M7.5 5.5L12 10l-4.5 4.5" />;
export const ArchiveIcon = (): React.ReactNode => (
  <Icon d="M4 7.5h12M5 7.5V15a1 1 0 0 0 1 1h8a1 1 0 0 0 1-1V7.5M3.5 4.5h13v3h-13zM8.2 10.5h3.6" />
);
