const appId = "<your-app-id>";
const response = await fetch(
`https://api.getdynamiq.ai/v1/apps/${appId}/deployments`,
{
headers: {
Authorization: `Bearer ${process.env.DYNAMIQ_PERSONAL_ACCESS_TOKEN}`,
},
},
);
const { data } = await response.json();
console.log(data);
