/** Links between browser and relay, and between agent and relay, that a test can cut without either end being told. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

/** What a link does with what it is given. */
type Mode = 'pass' | 'swallow';

/** TCP from here to a port of this machine. */
export class TcpLink {
  readonly port: number;
  upstream: number | null = null;
  #mode: Mode = 'pass';
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near) => this.#carry(near));
  }

  static async open(): Promise<TcpLink> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpLink(server);
  }

  /** From now on nothing passes either way, and nobody is told. */
  cut(): void {
    this.#mode = 'swallow';
  }

  /** New connections pass again. What was cut stays dead, as behind a router that forgot it. */
  mend(): void {
    this.#mode = 'pass';
  }

  /** Resets every connection. */
  sever(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.sever();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #carry(near: Socket): void {
    this.#track(near);
    if (this.#mode === 'swallow') {
      near.resume();
      return;
    }
    if (this.upstream === null) {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ port: this.upstream, host: '127.0.0.1', noDelay: true });
    near.setNoDelay(true);
    this.#track(far);
    let isDead = false;
    const join = (from: Socket, to: Socket) => {
      from.on('data', (bytes: Buffer) => {
        isDead ||= this.#mode === 'swallow';
        if (isDead) return;
        if (!to.write(bytes)) from.pause();
      });
      to.on('drain', () => from.resume());
      from.on('end', () => {
        if (!isDead && this.#mode === 'pass') to.end();
      });
      from.on('close', () => {
        if (!isDead && this.#mode === 'pass') to.destroy();
      });
    };
    join(near, far);
    join(far, near);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  }
}

/** UDP from here to a port of this machine: one flow for each address that sends. */
export class UdpLink {
  readonly port: number;
  upstream: number | null = null;
  #mode: Mode = 'pass';
  readonly #near: UdpSocket;
  readonly #flows = new Map<string, UdpSocket>();

  private constructor(near: UdpSocket) {
    this.#near = near;
    this.port = near.address().port;
    near.on('message', (packet, { address, port }) => {
      if (this.#mode === 'pass' && this.upstream !== null) {
        this.#flow(address, port).send(packet, this.upstream, '127.0.0.1');
      }
    });
  }

  static async open(): Promise<UdpLink> {
    const near = createSocket('udp4');
    near.bind(0, '127.0.0.1');
    await once(near, 'listening');
    return new UdpLink(near);
  }

  cut(): void {
    this.#mode = 'swallow';
  }

  mend(): void {
    this.#mode = 'pass';
  }

  /** The agent's packets come from other ports from now on, as after its network changed. */
  changeAddresses(): void {
    for (const far of this.#flows.values()) far.close();
    this.#flows.clear();
  }

  close(): void {
    this.changeAddresses();
    this.#near.close();
  }

  #flow(address: string, port: number): UdpSocket {
    const key = `${address}:${port}`;
    const known = this.#flows.get(key);
    if (known !== undefined) return known;
    const far = createSocket('udp4');
    far.on('message', (packet) => {
      if (this.#mode === 'pass') this.#near.send(packet, port, address);
    });
    // A relay that is down answers with an ICMP error; the agent is to find out by silence.
    far.on('error', () => undefined);
    this.#flows.set(key, far);
    return far;
  }
}
