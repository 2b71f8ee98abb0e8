var stompClient = null;
var topics = ['/monitoring/cpu', '/monitoring/memory', '/monitoring/sessions', '/monitoring/messages'];

function setConnected(connected) {
    document.getElementById('connect').disabled = connected;
    document.getElementById('disconnect').disabled = !connected;
    document.getElementById('state').textContent = connected ? 'Connected' : 'Disconnected';
}

function connect() {
    var socket = new SockJS('/test');
    stompClient = Stomp.over(socket);
    stompClient.debug = null;
    stompClient.connect({}, function (frame) {
        setConnected(true);
        topics.forEach(function (topic) {
            stompClient.subscribe(topic, function (message) {
                show(topic, JSON.parse(message.body));
            });
        });
    }, function (error) {
        setConnected(false);
        document.getElementById('state').textContent = String(error);
    });
}

function disconnect() {
    if (stompClient !== null) {
        stompClient.disconnect();
    }
    setConnected(false);
}

function show(topic, body) {
    var row = document.getElementById(topic);
    row.cells[1].textContent = Number(row.cells[1].textContent) + 1;
    row.cells[2].textContent = JSON.stringify(body);
}

topics.forEach(function (topic) {
    var row = document.getElementById('topics').insertRow();
    row.id = topic;
    [topic, '0', ''].forEach(function (text) {
        row.insertCell().textContent = text;
    });
});
document.getElementById('connect').addEventListener('click', connect);
document.getElementById('disconnect').addEventListener('click', disconnect);
