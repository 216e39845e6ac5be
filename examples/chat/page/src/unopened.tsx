import { Component, type ReactNode } from "react";

interface UnopenedProps {
  readonly begin: () => void;
  readonly children: ReactNode;
}

/** What is there in place of a chat that cannot be opened: a link may be old. */
export class Unopened extends Component<UnopenedProps, { readonly error?: Error }> {
  override state: { readonly error?: Error } = {};

  static getDerivedStateFromError(error: Error): { readonly error: Error } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return (
      <div className="nothing" role="alert">
        <h1>This chat cannot be opened</h1>
        <p>{error.message}</p>
        <button onClick={this.props.begin}>Begin a new one</button>
      </div>
    );
  }
}
