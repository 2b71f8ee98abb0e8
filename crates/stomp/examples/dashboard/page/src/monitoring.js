// The connection, and what has been measured.
import { useCallback, useEffect, useReducer, useState } from 'react';
import { Client, ReconnectionTimeMode } from '@stomp/stompjs';
import SockJS from 'sockjs-client';

const TOPICS = ['cpu', 'memory', 'sessions', 'messages'];

// How many measurements of each topic are kept: somewhat more than the charts show.
const KEPT = 150;

const START = {
  connection: { state: 'connecting' },
  history: Object.fromEntries(TOPICS.map((topic) => [topic, []])),
};

function reduce(state, action) {
  switch (action.type) {
    case 'connection':
      return { ...state, connection: action.connection };
    case 'measured': {
      const { topic, value } = action;
      const history = [...state.history[topic], value].slice(-KEPT);
      return { ...state, history: { ...state.history, [topic]: history } };
    }
    default:
      throw new Error(`there is no action ${action.type}`);
  }
}

function connect(dispatch) {
  const tell = (connection) => dispatch({ type: 'connection', connection });
  let socket;
  const client = new Client({
    webSocketFactory: () => {
      socket = new SockJS('/test');
      return socket;
    },
    reconnectDelay: 1000,
    reconnectTimeMode: ReconnectionTimeMode.EXPONENTIAL,
    maxReconnectDelay: 15_000,
    heartbeatIncoming: 10_000,
    heartbeatOutgoing: 10_000,
    onConnect: () => {
      for (const topic of TOPICS) {
        client.subscribe(`/monitoring/${topic}`, (message) => {
          dispatch({ type: 'measured', topic, value: JSON.parse(message.body) });
        });
      }
      tell({ state: 'connected', transport: socket.transport });
    },
    onStompError: (frame) => console.error(`The server says: ${frame.headers.message}`),
    onWebSocketClose: () => tell({ state: client.active ? 'lost' : 'off' }),
  });
  tell({ state: 'connecting' });
  client.activate();
  return client;
}

// Connects while the page is shown and the user wants it.
export function useMonitoring() {
  const [wanted, setWanted] = useState(true);
  const [state, dispatch] = useReducer(reduce, START);

  useEffect(() => {
    if (!wanted) {
      return undefined;
    }
    // What comes later is of no interest: another client may have been made by then.
    let current = true;
    const client = connect((action) => current && dispatch(action));
    return () => {
      current = false;
      client.deactivate();
      dispatch({ type: 'connection', connection: { state: 'off' } });
    };
  }, [wanted]);

  const toggle = useCallback(() => setWanted((before) => !before), []);
  return { ...state, wanted, toggle };
}
