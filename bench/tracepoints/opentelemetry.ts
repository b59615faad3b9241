/**
 * A span of OpenTelemetry's SDK with three attributes, sampled, ended, and dropped by its processor.
 */
import { BasicTracerProvider, NoopSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { type Contender, textOf } from './contender.ts';

/** A tracer that exports nothing. */
export function openContender(): Contender {
  const provider = new BasicTracerProvider({ spanProcessors: [new NoopSpanProcessor()] });
  const tracer = provider.getTracer('bench');
  const probe = tracer.startSpan('probe');
  if (!probe.isRecording()) throw new Error('OpenTelemetry does not record spans');
  probe.end();
  return {
    loops: {
      text: (count) => {
        for (let i = 0; i < count; i++) {
          const span = tracer.startSpan('bench');
          span.setAttribute('first', i);
          span.setAttribute('second', i + 1);
          span.setAttribute('text', textOf(i));
          span.end();
        }
      },
      numbers: (count) => {
        for (let i = 0; i < count; i++) {
          const span = tracer.startSpan('bench');
          span.setAttribute('big', i * 1000);
          span.setAttribute('small', i);
          span.setAttribute('real', i / 2);
          span.end();
        }
      },
    },
    close: () => void provider.shutdown(),
  };
}
