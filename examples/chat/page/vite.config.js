import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // One of each, also for what is linked into this workspace.
  resolve: { dedupe: ["react", "react-dom", "ai"] },
  build: { outDir: "../dist/page", emptyOutDir: true },
});
