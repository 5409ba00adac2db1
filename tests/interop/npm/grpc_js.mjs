// SPDX-License-Identifier: Apache-2.0
// @grpc/grpc-js against one member over mutual TLS. By server reflection alone, it lists the
// services and calls them with what it learnt; by .proto files, it uses etcd's KV and Watch.
//
// usage: node grpc_js.mjs ADDRESS CERTS NAME PROTO_DIR
// CERTS holds ca.pem, NAME.pem and NAME.key. Exits with 1, and says why, at the first surprise.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {createRequire} from 'node:module';

// Packages are those of the working directory, not of the folder that this file is in.
const require = createRequire(path.join(process.cwd(), 'package.json'));
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const descriptor = require('protobufjs/ext/descriptor');

const [address, certs, name, protoDir] = process.argv.slice(2);
const credentials = grpc.credentials.createSsl(
  fs.readFileSync(path.join(certs, 'ca.pem')),
  fs.readFileSync(path.join(certs, `${name}.key`)),
  fs.readFileSync(path.join(certs, `${name}.pem`)),
);
const options = {keepCase: true, longs: String, enums: String, defaults: true};

function deadline() {
  return {deadline: Date.now() + 10_000};
}

/** A client of `service` in a package definition, with one promise for each unary call. */
function connect(definition, service) {
  const tree = grpc.loadPackageDefinition(definition);
  const Client = service.split('.').reduce((at, part) => at[part], tree);
  const client = new Client(address, credentials);
  const call = (method, request) => new Promise((resolve, reject) => {
    client[method](request, deadline(), (error, reply) => (error ? reject(error) : resolve(reply)));
  });
  return {client, call};
}

function fromFiles(...files) {
  return loader.loadSync(files, {...options, includeDirs: [protoDir]});
}

/** Asks one question of a reflection stream. */
function reflect(client, question) {
  return new Promise((resolve, reject) => {
    const stream = client.ServerReflectionInfo(deadline());
    let answer;
    stream.on('data', (message) => { answer = message; });
    stream.on('error', reject);
    stream.on('end', () => resolve(answer));
    stream.write(question);
    stream.end();
  });
}

async function learn(version) {
  const definition = fromFiles(`grpc/reflection/${version}/reflection.proto`);
  const {client} = connect(definition, `grpc.reflection.${version}.ServerReflection`);
  const listed = await reflect(client, {host: '', list_services: '*'});
  const services = listed.list_services_response.service.map((one) => one.name).sort();
  let methods = 0;
  const learnt = {};
  for (const service of services) {
    const answer = await reflect(client, {host: '', file_containing_symbol: service});
    const set = descriptor.FileDescriptorSet.create({
      file: answer.file_descriptor_response.file_descriptor_proto.map(
        (raw) => descriptor.FileDescriptorProto.decode(raw)),
    });
    learnt[service] = loader.loadFileDescriptorSetFromBuffer(
      Buffer.from(descriptor.FileDescriptorSet.encode(set).finish()), options);
    methods += Object.keys(learnt[service][service]).length;
  }
  client.close();
  return {services, methods, learnt};
}

async function checkReflection(version) {
  const {services, methods, learnt} = await learn(version);
  for (const expected of ['indaba.v1.Cluster', 'indaba.v1.Topology', 'grpc.health.v1.Health',
    'etcdserverpb.KV', 'grpc.reflection.v1.ServerReflection']) {
    assert.ok(services.includes(expected), `${expected} is not among ${services}`);
  }
  const cluster = connect(learnt['indaba.v1.Cluster'], 'indaba.v1.Cluster');
  const status = await cluster.call('GetStatus', {});
  assert.equal(status.cluster_name, 'test');
  cluster.client.close();
  const topology = connect(learnt['indaba.v1.Topology'], 'indaba.v1.Topology');
  const {members} = await topology.call('ListMembers', {});
  assert.ok(members.some((one) => one.api_address === address), JSON.stringify(members));
  topology.client.close();
  const health = connect(learnt['grpc.health.v1.Health'], 'grpc.health.v1.Health');
  assert.equal((await health.call('Check', {service: ''})).status, 'SERVING');
  health.client.close();
  console.log(`grpc-js: reflection ${version}: ${services.length} services, ${methods} methods; ` +
    `${members.length} members by what it learnt`);
}

/** What a watch tells of one put and one deletion. */
async function checkStore() {
  const definition = fromFiles('etcd/api/etcdserverpb/rpc.proto');
  const kv = connect(definition, 'etcdserverpb.KV');
  const watcher = connect(definition, 'etcdserverpb.Watch');
  const key = Buffer.from('interop/grpc-js');
  const events = [];
  const watch = watcher.client.Watch();
  const told = new Promise((resolve, reject) => {
    watch.on('error', reject);
    watch.on('data', async (reply) => {
      if (reply.created) {
        await kv.call('Put', {key, value: Buffer.from('from node')}).catch(reject);
        await kv.call('DeleteRange', {key}).catch(reject);
      }
      events.push(...reply.events.map((event) => event.type));
      if (events.length === 2) {
        resolve();
      }
    });
  });
  watch.write({create_request: {key}});
  await told;
  watch.on('error', () => {}); // its own cancellation
  watch.removeAllListeners('data');
  watch.cancel();
  assert.deepEqual(events, ['PUT', 'DELETE']);
  const found = await kv.call('Range', {key});
  assert.equal(found.count, '0');
  kv.client.close();
  watcher.client.close();
  console.log(`grpc-js: etcdserverpb: a watch told of ${events.join(', ')}`);
}

async function checkRefusal() {
  const definition = fromFiles('indaba/v1/shards.proto');
  const {client, call} = connect(definition, 'indaba.v1.Shards');
  await assert.rejects(call('GetShard', {name: 'no-such-shard'}), (error) => {
    assert.equal(error.code, grpc.status.NOT_FOUND, error);
    console.log(`grpc-js: an error arrives whole: ${error.code} ${error.details}`);
    return true;
  });
  client.close();
}

for (const version of ['v1', 'v1alpha']) {
  await checkReflection(version);
}
await checkStore();
await checkRefusal();
process.exit(0);
