# Reproducible as far as its base is: name that by digest, --build-arg BASE=node:24-bookworm-slim@sha256:…
ARG BASE=node:24-bookworm-slim

# The next three stages leave what goes into the image by the path that it has there, in /image and the like. All of it gets
# one time, and modes that do not depend on the checkout, so that the same tree gives the same layers.
FROM ${BASE} AS dependencies
ARG SOURCE_DATE_EPOCH=0
WORKDIR /image/app
COPY package.json package-lock.json ./
# Optional ones stay in: the native bcrypt and argon2 come as such.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm package-lock.json && chmod 644 package.json \
 && find /image -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# Node.js, and the libraries that it and the native dependencies load. No shell and no package manager: nothing else is in
# the image that could be run.
FROM dependencies AS system
ARG SOURCE_DATE_EPOCH=0
# Without nsswitch.conf libc asks the DNS before it looks into /etc/hosts.
RUN set -eu \
 && mkdir -p /system/etc/ecr-mirror /system/var/cache \
 && node=/usr/local/bin/node \
 && ldd "$node" $(find /image -name '*.node') > /tmp/linked && ! grep 'not found' /tmp/linked \
 && libraries=$(grep -oE '(=> |^\s)/[^ :]+' /tmp/linked | grep -o '/.*' | sort -u) \
 && cp --dereference --parents "$node" $libraries /system \
 && echo 'ecr-mirror:x:65532:65532:ecr-mirror:/home/ecr-mirror:/sbin/nologin' > /system/etc/passwd \
 && echo 'ecr-mirror:x:65532:' > /system/etc/group \
 && echo 'hosts: files dns' > /system/etc/nsswitch.conf \
 && install -d -m 755 /cache/var/cache && install -d -m 700 /cache/var/cache/ecr-mirror \
 && find /system /cache -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json LICENSE ./
COPY src src
ARG SOURCE_DATE_EPOCH=0
RUN npm run build \
 && mkdir -p /image/app \
 && cp -r dist /image/app/ && install --mode=644 LICENSE /image/app/ \
 && find /image -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# Not in the mirror's image: the stand-in for ECR, to try the mirror without AWS (docker compose up try).
FROM build AS stand-in
COPY test/ecr test/ecr
RUN npx tsc -p test/ecr
USER 65532:65532
ENTRYPOINT ["node", "/app/dist/test/ecr/main.js"]

FROM scratch
LABEL org.opencontainers.image.title="ecr-mirror" \
      org.opencontainers.image.description="An authenticating registry mirror for Amazon ECR" \
      org.opencontainers.image.licenses="Apache-2.0"
# /var/cache/ecr-mirror, whose owner and mode a named volume gets that is mounted there. First, since the next one gives what
# is above it back to root.
COPY --from=system --chown=65532:65532 /cache /
COPY --from=system /system /
COPY --from=dependencies /image /
COPY --from=build /image /
ENV NODE_ENV=production

# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Registry; /livez and /readyz, which listen on the loopback unless ECR_MIRROR_OPERATIONS_LISTEN says otherwise.
EXPOSE 5000 5001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/usr/local/bin/node", "/app/dist/main.js", "healthcheck"]
# Reads /etc/ecr-mirror/mirror.yaml where it is mounted; the environment alone will do as well.
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/main.js"]
CMD ["serve"]
