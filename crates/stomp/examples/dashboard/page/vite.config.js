import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // sockjs-client was written for bundlers that know this name of Node's.
  define: { global: 'globalThis' },
  // `npm run dev` serves the page from its source, beside a server that runs.
  server: { proxy: { '/test': { target: 'http://127.0.0.1:8080', ws: true } } },
});
