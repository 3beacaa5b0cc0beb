import { REPOSITORY, TAG, USER } from './stage.js'

/** What to type to log in, pull and push with the usual clients; `host` is the mirror's, with its port. */
export function clientCommands(host: string): string {
  const { name, password } = USER
  const image = `${host}/${REPOSITORY}`
  const pushed = `${host}/${REPOSITORY}:2.0`
  return `\
  docker login -u ${name} -p ${password} ${host}
  docker pull ${image}:${TAG}
  docker tag ${image}:${TAG} ${pushed}
  docker push ${pushed}

  podman login --tls-verify=false -u ${name} -p ${password} ${host}
  podman pull --tls-verify=false ${image}:${TAG}
  podman tag ${image}:${TAG} ${pushed}
  podman push --tls-verify=false ${pushed}

  skopeo login --tls-verify=false -u ${name} -p ${password} ${host}
  skopeo copy --src-tls-verify=false docker://${image}:${TAG} dir:hello
  skopeo copy --dest-tls-verify=false dir:hello docker://${pushed}
  skopeo list-tags --tls-verify=false docker://${image}
`
}
