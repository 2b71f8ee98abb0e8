import { Chart } from './Chart.jsx';
import { Values } from './Values.jsx';
import { axisEnd, bytes, count, percent, perSecond } from './format.js';
import { useMonitoring } from './monitoring.js';

function stateOf({ state, transport }) {
  switch (state) {
    case 'connected': return ['good', `Connected over ${transport}`];
    case 'lost': return ['bad', 'Connection lost, trying again'];
    case 'off': return ['off', 'Disconnected'];
    default: return ['wait', 'Connecting'];
  }
}

export function App() {
  const { connection, history, wanted, toggle } = useMonitoring();
  const [tone, text] = stateOf(connection);
  const processors = history.cpu.at(-1)?.processors;
  return (
    <>
      <header>
        <div>
          <h1>Monitoring</h1>
          <p className="lead">What the machine and its server do, once a second, by STOMP over SockJS.</p>
        </div>
        <div className="connection">
          <p role="status" className="state" data-tone={tone}>{text}</p>
          <button type="button" onClick={toggle}>{wanted ? 'Disconnect' : 'Connect'}</button>
        </div>
      </header>
      <main className={connection.state === 'connected' ? undefined : 'old'}>
        <section aria-labelledby="machine">
          <h2 id="machine">Machine</h2>
          <div className="charts">
            <Chart
              title="Processors" points={history.cpu} format={percent} end={() => 100}
              series={[{ name: processors === undefined ? 'busy' : `of ${processors} busy`, value: (point) => point.machine }]}
            />
            <Chart
              title="Memory" points={history.memory} format={bytes}
              end={(_, last) => last?.total ?? 1024 ** 3}
              series={[{ name: 'in use', value: (point) => point.used }]}
            />
          </div>
        </section>
        <section aria-labelledby="server">
          <h2 id="server">Server process</h2>
          <div className="charts">
            <Chart
              title="Processor time" points={history.cpu} format={percent} end={axisEnd.percent}
              series={[{ name: 'of the machine', value: (point) => point.process }]}
            />
            <Chart
              title="Memory" points={history.memory} format={bytes} end={axisEnd.bytes}
              series={[{ name: 'in RAM', value: (point) => point.process }]}
            />
          </div>
        </section>
        <section aria-labelledby="clients">
          <h2 id="clients">Clients</h2>
          <div className="charts">
            <Chart
              title="Sessions" points={history.sessions} format={count} end={axisEnd.count}
              series={[
                { name: 'open', value: (point) => point.open },
                { name: 'subscriptions', value: (point) => point.subscriptions },
              ]}
            />
            <Chart
              title="Messages" points={history.messages} format={perSecond} end={axisEnd.count}
              series={[
                { name: 'sent', value: (point) => point.sent },
                { name: 'received', value: (point) => point.received },
              ]}
            />
          </div>
        </section>
        <Values history={history} />
      </main>
    </>
  );
}
