import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

/** Where `npm run dev` sends API calls: a relay on this machine. */
const DEVELOPMENT_RELAY = process.env['PODLATCH_PUBLIC_URL'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2023',
    // Data URLs would need an exception in the content security policy.
    assetsInlineLimit: 0,
    // xterm.js with its add-ons; loaded with the first terminal only.
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      // The relay compares Origin with its public URL exactly, and the browser sends the development server's.
      '/api': {
        target: DEVELOPMENT_RELAY,
        ws: true,
        headers: { origin: DEVELOPMENT_RELAY },
      },
    },
  },
  test: {
    environment: 'node',
    include: ['tests/**/*.test.ts'],
  },
});
