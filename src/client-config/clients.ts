import { buildkit } from './buildkit.js'
import type { Client } from './client.js'
import { containerd } from './containerd.js'
import { docker } from './docker.js'
import { kubernetes } from './kubernetes.js'
import { podman } from './podman.js'

/** The clients that there are files for. */
export const CLIENTS: ReadonlyMap<string, Client> = new Map(
  Object.entries({ docker, containerd, podman, buildkit, kubernetes }),
)
