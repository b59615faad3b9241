export { listProbeFunctions, type ProbeFunction } from './probe-functions.ts';
export { ProberClient, type ProberClientOptions, ProberRefusal, ProberUnavailable } from './prober-client.ts';
export { proberSocketPath } from './prober-place.ts';
export type {
  Exchanges,
  LaunchBody,
  ProbedProcessListing,
  ProbeListing,
  ProbeScope,
  RequestName,
} from './protocol.ts';
